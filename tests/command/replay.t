#!/usr/bin/perl
# A run is recorded against real servers, and replayed when they are gone: the same output, nothing done, in no time; and
# where an edited playbook asks for something else is told.
use strict;
use warnings;
use Hostler;
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;

# With the word "record" it is the part that runs beside the servers.
if (@ARGV && $ARGV[0] eq 'record') {
    my $run = hostler({ in => $ARGV[1], env => { %ENV, MADE => "$ARGV[1]/made", TEST_KEY => 'quite-a-secret/key' } },
        'run', 'book', '--record', 'recording', '--yes', 'first');
    print $run->{stdout}, "--\n", $run->{stderr};
    exit $run->{status};
}

my $book = <<'LUA';
local postgres, sh, ssh = require "postgres", require "sh", require "ssh"
local known_hosts = env "SSHD" and env "SSHD" .. "/known_hosts"

local function talk_to_postgres()
    local db = postgres.connect { host = "localhost", port = env "POSTGRES_PORT", user = "admin", dbname = "postgres",
        password = secret "POSTGRES_PASSWORD", ca_file = env "POSTGRES_CA" }
    step("tables", function()
        db:transaction(function(tx) tx:query "create table kept (name text, raw bytea, nothing int)" end)
        try(db.transaction, db, function(tx)
            tx:query "create table dropped (id int)"
            fail "changed my mind"
        end)
        db:query("insert into kept values ($1, $2, null)", "Zoë", postgres.bytes "\0\255")
    end)
    local row = db:read "select *, (select count(*) from pg_class where relname = 'dropped') as dropped from kept"[1]
    say("row %s %d %s dropped %d", row.name, #row.raw, tostring(row.nothing == json.null), row.dropped)
    local _, err = try(db.read, db, "select no_such_column")
    say("%s %s", err.code, err.sqlstate)
    db:close()
end

local function talk_to_ssh()
    local host = ssh.connect("root@127.0.0.1", { known_hosts = known_hosts })
    step("files", function()
        host:write("/run/recorded", "key=" .. secret "TEST_KEY" .. "\n", { mode = "0600" })
    end)
    say("%s wrote %d bytes", host.user, host:stat "/run/recorded".size)
    local _, err = try(host.read, host, "/no/such/file")
    say("%s: %s", err.code, err.reason)
end

return playbook {
    summary = "Ask many things",
    params = { arg("word", "string", "a word") },
    run = function(p)
        say("%.6f %s", now(), uuid())
        confirm "Go on?"
        local made = step("make", function()
            sh.run { "sh", "-c", "echo " .. p.word .. " >>\"$0\"", env "MADE" }
            return secret.random(30)
        end)
        talk_to_postgres()
        talk_to_ssh()
        local read = sh.run({ "cat" }, { stdin = made, read = true }).stdout
        say("read %d letters", #read)
        local looks = 0
        wait_until("the third look", { timeout = 30, interval = 0.4 }, function()
            looks = looks + 1
            return sh.run({ "true" }, { read = true }).status == 0 and looks == 3
        end)
        each({ "a", "b", "c" }, function(name)
            say("%s", (sh.run({ "echo", name }, { read = true }).stdout:gsub("\n", "")))
        end)
        sleep(0.5)
    end,
}
LUA

my $folder = playbooks(book => $book);
my $recorded = `tests/lib/with-sshd tests/lib/with-postgres $^X -Itests/lib $0 record $folder`;
is $? >> 8, 0, 'a run is recorded' or die $recorded;

sub read_file {
    open my $file, '<:raw', $_[0] or return '';
    local $/;
    return scalar <$file>;
}

# What was said, without the times.
sub said {
    return join "\n", sort grep { /^(say|wait|step) / } map { s/^[\d:]+ //r =~ s/ [\d.]+s\b//r } split /\n/, $_[0];
}

sub replay {
    my ($source, @arguments) = @_;
    playbook($folder, 'book', $source) if $source;
    return hostler({ in => $folder, env => { MADE => 'elsewhere' } }, 'run', 'book', '--replay', 'recording', @arguments);
}

subtest 'the recording' => sub {
    my $text = read_file("$folder/recording");
    is sprintf('%o', (stat "$folder/recording")[2] & 07777), '600', 'is its owner\'s alone';
    my ($head, @lines) = map { decode_json $_ } split /\n/, $text;
    is $head->{status}, 'done', 'tells how the run ended';
    my ($write) = grep { ($_->{name} // '') eq 'sh.run' && $_->{kind} eq 'write' } @lines;
    is $write->{target}, 'localhost', 'an effect has its target';
    is $write->{place}, 'book/make', 'its step';
    like $write->{at}, qr{playbooks/book\.lua:\d+$}, 'its line in the playbook';
    is $write->{result}{status}, 0, 'its result';
    ok defined $write->{$_}, "its $_" for qw(summary inputs seconds);
    my ($failed) = grep { $_->{error} && $_->{name} eq 'postgres.query' } @lines;
    is $failed->{error}{sqlstate}, '42703', 'an effect that failed has its error';
    unlike $text, qr{quite-a-secret}, 'the key is not in it';
};

subtest 'its replay' => sub {
    my $run = replay('', 'first');
    is $run->{status}, 0, 'ends well' or diag $run->{stderr};
    is said($run->{stdout}), said($recorded =~ s/\n--\n.*//sr), 'says the same';
    is read_file("$folder/made"), "first\n", 'and does nothing';
    is replay($book =~ s/sleep\(0\.5\)/sleep(1000)/r, 'first')->{status}, 0, 'waits for nothing, however long it would be';
    is replay($book)->{status}, 0, 'without arguments it takes those of the recording';
    my $runs = hostler({ in => $folder }, 'runs');
    unlike $runs->{stdout}, qr/book.*\n.*book/, 'it is no run of the journal';
};

subtest 'an edited playbook' => sub {
    my $line = 1 + scalar(() = $book =~ /\A(.*?)echo " \.\. p\.word/s ? $1 =~ /\n/g : ());
    my $run = replay($book =~ s/echo " \.\. p\.word/echo again " .. p.word/r, 'first');
    is $run->{status}, 1, 'that does something else fails';
    like $run->{stderr}, qr/the recording has no such effect: write sh\.run .*echo again first/, 'and says what';
    like $run->{stderr}, qr/where .*book\.lua:$line$/m, 'where';
    like $run->{stderr}, qr/recorded here is: write sh\.run .*echo first.*book\.lua:$line\)/, 'and what was recorded';

    $run = replay($book =~ s/"Zoë"/"Joe"/r, 'first');
    like $run->{stderr}, qr/recorded here is: the same with other inputs/, 'other inputs are something else, too';

    $run = replay($book =~ s/fail "changed my mind"/fail "changed my mind again"/r, 'first');
    is $run->{status}, 0, 'what changes no effect is no difference' or diag $run->{stderr};

    $run = replay($book =~ s/talk_to_ssh\(\)\n        local/local/r, 'first');
    is $run->{status}, 1, 'one that leaves an effect out fails';
    like $run->{stderr}, qr/ended without an effect that was recorded: read ssh\.connect on root\@127/, 'and says which';

    $run = replay($book =~ s/local read = .*/try(sh.run, { "echo", "new" }, { read = true })\n local read = ""/r, 'first');
    is $run->{status}, 1, 'one that hides the difference fails';
    like $run->{stderr}, qr/no such effect: read sh\.run on localhost: echo new/, 'with the difference';
    is read_file("$folder/made"), "first\n", 'nothing was done';
};

subtest 'a large one' => sub {
    my $in = playbooks(large => <<'LUA');
local sh = require "sh"
return playbook { summary = "reads much", run = function()
    local length = 0
    for i = 1, 3 do
        length = length + #sh.run({ "sh", "-c", "head -c 8000000 /dev/zero | tr '\\0' " .. i }, { read = true, limit = 1e7 }).stdout
    end
    say("read %d", length)
end }
LUA
    my $run = hostler({ in => $in }, 'run', 'large', '--record', 'recording');
    is $run->{status}, 0, 'is written' or diag $run->{stderr};
    $run = hostler({ in => $in }, 'run', 'large', '--replay', 'recording');
    is $run->{status}, 0, 'and read' or diag $run->{stderr};
    like $run->{stdout}, qr/read 24000000$/m, 'whole';
};

subtest 'where it is written' => sub {
    my $in = playbooks(small => 'return playbook { summary = "says something", run = function() say "hi" end }');
    my $record = sub { hostler({ in => $in }, 'run', 'small', '--record', $_[0])->{status} };
    is $record->('recording'), 0, 'into a new file';
    open my $first, '<', "$in/recording" or die; # held, so that no later file gets its number
    symlink 'recording', "$in/link";
    is $record->('link'), 0, 'through a link';
    ok -l "$in/link", 'which stays one';
    isnt((stat "$in/recording")[1], (stat $first)[1], 'what it leads to is another file, put there whole');
    is_deeply [ sort map { s{.*/}{}r } glob "$in/*" ], [ sort qw(home link playbooks recording) ], 'nothing else is left';
    POSIX::mkfifo("$in/pipe", 0644) or die;
    open my $pipe, '+<', "$in/pipe" or die; # as both ends, so that nobody waits for the other
    is $record->('pipe'), 0, 'into a pipe';
    sysread $pipe, my $carried, 65536;
    ok -p "$in/pipe", 'which stays one';
    is sprintf('%o', (stat "$in/pipe")[2] & 07777), '644', 'and keeps its mode';
    like $carried, qr/"playbook":"small"/, 'and carries it';
};

subtest 'a run that is resumed' => sub {
    my $in = playbooks(stops => <<'LUA');
return playbook { summary = "stops once", run = function()
    step("one", function() require("sh").run { "touch", "one" } end)
    if not env "GO" then fail "no luck" end
end }
LUA
    hostler({ in => $in }, 'run', 'stops', '--record', 'recording');
    my $before = read_file("$in/recording");
    my $run = hostler({ in => $in, env => { GO => 1 } }, 'resume', 'last');
    is $run->{status}, 0, 'ends well' or diag $run->{stderr};
    like $run->{stderr}, qr/what follows is not recorded/, 'says that its recording ends where it stopped';
    is read_file("$in/recording"), $before, 'which it leaves alone';
};

subtest 'what cannot be' => sub {
    playbook($folder, 'book', $book);
    my $run = hostler({ in => $folder }, 'run', 'book', '--replay', 'nowhere', 'first');
    is $run->{status}, 2, 'a recording that is not there';
    like $run->{stderr}, qr/the recording nowhere cannot be read: No such file/, 'is named';
    $run = hostler({ in => $folder }, 'run', 'book', '--record', '/no/such/place', 'first');
    is $run->{status}, 1, 'a place where it cannot be written' or diag $run->{stderr};
    like $run->{stderr}, qr{/no/such/place cannot be written: No such file}, 'is named before anything is done';
    $run = hostler({ in => $folder }, 'run', 'book', '--record', 'new', '--replay', 'recording', 'first');
    is $run->{status}, 2, 'both at once';
    like $run->{stderr}, qr/--record and --replay do not go together/, 'are refused';
};

# Whatever happens to the file, a replay says that it is damaged, and never takes it for what the outside said.
subtest 'a damaged recording' => sub {
    my $whole = read_file("$folder/recording");
    my @lines = split /^/, $whole;
    my %damaged = (
        'empty' => [ '', qr/broken is empty/ ], 'no recording' => ["hello\n", qr/line 1 of broken is not one of a recording/],
        'another version' => [ '{"recording":1}' . "\n", qr/not a recording, or one of another version/ ],
        'a list' => [ "[1]\n", qr/not a recording/ ],
        'the first line only' => [ $lines[0], qr/broken is cut off after its line 0/ ],
        'cut between lines' => [ join('', @lines[0 .. $#lines - 1]), qr/broken is cut off after its line \d/ ],
        'cut within a line' => [ substr($whole, 0, -20), qr/line \d+ of broken is not one of a recording|broken is cut off/ ],
        'without its last newline' => [ $whole =~ s/\n\z//r, qr/broken is cut off/ ],
        'without a line' => [ join('', @lines[0, 2 .. $#lines]), qr/broken is not as it was recorded/ ],
    );
    srand($ENV{SEED} // 7);
    for my $number (1 .. 12) {
        my $text = $whole;
        substr($text, rand length $text, 1) ^= chr(1 + int rand 255);
        $damaged{"another byte, $number"} = [ $text, qr/broken/ ];
    }
    for my $what (sort keys %damaged) {
        my ($text, $says) = @{ $damaged{$what} };
        open my $file, '>', "$folder/broken" or die;
        print $file $text;
        close $file;
        my $run = hostler({ in => $folder }, 'run', 'book', '--replay', 'broken', 'first');
        is $run->{status}, 2, "$what: status" or diag "$run->{stdout}$run->{stderr}";
        like $run->{stderr}, $says, "$what: says so";
        unlike $run->{stderr}, qr/hostler:runtime/, "$what: not as a fault of hostler";
    }
};

done_testing;
