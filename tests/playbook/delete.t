#!/usr/bin/perl
# Deleting instances: three at once, one half gone, one whose cluster is in a team that is full; with neighbours whose
# names look alike, and everything else left as it is.
use strict;
use warnings;
use Cloud;
use Clusters;
use Droplets;
use File::Temp qw(tempdir);
use Test::More;

my $cloud = Cloud->connect;
my ($full_team, @tokens) = $cloud->database_tokens;
my $folder      = tempdir(CLEANUP => 1);
my $known_hosts = "$folder/known_hosts";
my $options     = { env => { HOSTLER_KNOWN_HOSTS => $known_hosts } };

# ---- what there is ----

my %droplet = map { $_ => new_droplet($cloud, $_) } qw(one three x-one);
my $domain  = '/v2/domains/meltanodata.com/records';

sub new_record {
    my ($type, $name, $data) = @_;
    return api($cloud, POST => $domain, { type => $type, name => $name, data => $data, ttl => 3600 })->{domain_record};
}

my @extra = (new_record(A => two => '192.0.2.2'), new_record(TXT => one => 'a text'), new_record(A => 'www.one', '192.0.2.3'),
    new_record(A => 'one-two', '192.0.2.4'));
END {
    local $?;
    eval { api($cloud, DELETE => "$domain/$_->{id}") } for @extra;
}

$cloud->team(team => 'MeltanoData DBs 1 (full)', limit => 200);
my %cluster = (
    one    => new_cluster($cloud, $tokens[1], 'pg-of-old-one', $droplet{one}{private}), # an old name, known by whom it trusts
    two    => new_cluster($cloud, $tokens[0], 'meltano-two',   '192.0.2.2'),
    three  => new_cluster($cloud, $full_team, 'meltano-three', $droplet{three}{public}),
    x_one  => new_cluster($cloud, $tokens[0], 'meltano-x-one', $droplet{'x-one'}{public}),
    some   => new_cluster($cloud, $tokens[1], 'pg-other-two',  '192.0.2.77'),          # whose it is cannot be told
);

my @neighbours = map { "$_.meltanodata.com" } 'x-one', 'meltano@x-one', 'one.meltanodata.com and more from ';
push @neighbours, 'Notes on one.meltanodata.com';
new_item($cloud, $_) for @neighbours, map { "$_.meltanodata.com" } qw(one meltano@one meltano_ftp@one three);
new_item($cloud, $_) for 'one.meltanodata.com (meltano)', 'meltano@three.meltanodata.com';

my ($key, $other_key) = map { 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI' . ($_ x 43) } qw(A B);

sub hashed {
    my ($line) = @_;
    write_file("$folder/plain", "$line\n");
    system("ssh-keygen -H -f $folder/plain >/dev/null 2>&1") == 0 or die 'ssh-keygen -H failed';
    return Cloud::read_file("$folder/plain");
}

my $before_keys = join '', "# kept by hand\r\n", "\n", "one.meltanodata.com $key\n", "$droplet{one}{public} $key\n",
    hashed("three.meltanodata.com $key"), "[one.meltanodata.com]:2222 $key here\n", hashed("[one.meltanodata.com]:2222 $key"),
    "x-one.meltanodata.com,$droplet{one}{public} $other_key shared\n", hashed("x-one.meltanodata.com $other_key"),
    "*.meltanodata.com $other_key\n", "other.example.com $key";
write_file($known_hosts, $before_keys);

sub there {
    my $state = $cloud->state;
    return join "\n", map { "$_\n" } (sort map { "droplet $_->{name}" } @{ $state->{droplets} }),
        (sort map { "record $_->{type} $_->{name} $_->{data}" } @{ $state->{records} }),
        (sort map { "cluster $_->{name}" } @{ $state->{clusters} }), (sort map { "item $_->{title}" } @{ $state->{items} });
}

my $before = there();
my @three  = qw(one two three);

# ---- before anything is deleted ----

subtest 'a dry run' => sub {
    my $since = $cloud->mark;
    my $run = $cloud->run($options, 'run', 'delete', @three, '-n');
    is $run->{status}, 0, 'ends well' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/plan .*delete $_/, "plans: $_"
        for "droplet one.meltanodata.com \\($droplet{one}{id}\\)", 'record A one in', 'record A two in', 'database cluster pg-of-old-one',
        'database cluster meltano-two', 'database cluster meltano-three', 'item meltano_ftp@one', 'item one.meltanodata.com \(meltano\)';
    unlike $run->{stdout}, qr/plan .*(x-one|www\.one|one-two|Notes|pg-other-two)/, 'nothing of the neighbours';
    like $run->{stdout}, qr/^\S+ diff .*-one\.meltanodata\.com ssh-ed25519/m, 'shows what known_hosts loses';
    is_deeply [ $cloud->writes($since) ], [], 'nothing is written';
    is Cloud::read_file($known_hosts), $before_keys, 'to known_hosts neither';
};

subtest 'a token is missing' => sub {
    my $run = $cloud->run({ env => { %{ $options->{env} }, DO_DATABASE_API_TOKENS => $tokens[1] } }, 'run', 'delete', @three, '-n');
    like $run->{stdout}, qr/warn +three\.meltanodata\.com has no database cluster in these teams/, 'a cluster that is not found is told of';
    unlike $run->{stdout}, qr/warn +(one|two)\.meltanodata\.com has no/, 'where one is, or nothing else is, it is not';
};

subtest 'a person has to type the names' => sub {
    my $since = $cloud->mark;
    is $cloud->run($options, 'run', 'delete', @three)->{status}, 3, 'without a terminal it waits for one';
    my $run = typed($cloud, "yes\n", $options, 'run', 'delete', @three);
    is $run->{status}, 1, 'another answer';
    like $run->{stdout}, qr/one\.meltanodata\.com +droplet +$droplet{one}{id}, $droplet{one}{public}/, 'the list comes first';
    like $run->{stdout}, qr/Type 'one two three' to go on:/, 'it says what to type';
    like $run->{stdout}, qr/you did not agree/, 'and that nothing was done';
    is_deeply [ $cloud->writes($since) ], [], 'nothing was';
    is there(), $before, 'all is there';
};

# ---- deleting ----

subtest 'three at once, of which one fails' => sub {
    $cloud->fault(method => 'DELETE', path => "/v2/databases/$cluster{three}{id}", mode => 'fail', status => 422, count => 1);
    my $run = typed($cloud, "one two three\n", $options, 'run', 'delete', @three);
    is $run->{status}, 1, 'the run has failed';
    like $run->{stdout}, qr/1 of 3 failed: three/, 'and says which';
    is $cloud->parts('one'), 'record cluster', 'the first is gone'; # its text record, and x-one's cluster, which ends the same
    is $cloud->parts('two'), 'cluster', 'what was left of the second, too'; # the one that is not certainly its
    is $cloud->parts('three'), 'droplet cluster items', 'of the third what came before the fault';
    like $run->{stdout}, qr/two\.meltanodata\.com may have another cluster: pg-other-two in team/, 'a cluster of doubtful owner is told of';
    unlike $run->{stdout}, qr/meltano-x-one/, 'one that is certainly another\'s is not';
};

subtest 'again' => sub {
    my $run = $cloud->run($options, 'run', 'delete', @three, '--yes');
    is $run->{status}, 0, 'the rest goes' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/Nothing is left of one\.meltanodata\.com/, 'what is gone is fine';
    is $cloud->parts('three'), '', 'nothing is left of the third';
    like $run->{stdout}, qr/^\S+ warn .*'MeltanoData DBs 1 \(full\)' has room again: rename it to 'MeltanoData DBs 1'/m,
        'the team that was full is to be renamed';
};

subtest 'everything else' => sub {
    my $expected = join "\n", map { "$_\n" } grep {
        !/^(droplet|item) .*\b(?<!-)(one|three)\.meltanodata\.com(?: \(meltano\))?$/ && !/^record A (one|two|three) /
            && !/^cluster (pg-of-old-one|meltano-two|meltano-three)$/ or /Notes|and more/
    } grep { length } split /\n+/, $before;
    is there(), $expected, 'is as it was';
    my $expected_keys = join '', "# kept by hand\r\n", "\n", "x-one.meltanodata.com $other_key shared\n",
        ($before_keys =~ /shared\n(\|1\|.*\n)/)[0], "*.meltanodata.com $other_key\n", "other.example.com $key";
    is Cloud::read_file($known_hosts), $expected_keys, 'known_hosts has lost these lines and names, and no other byte';
    my @copies = sort glob "$known_hosts.*Z*";
    is Cloud::read_file($copies[0]), $before_keys, 'a copy of before is kept';
    for my $host ('[one.meltanodata.com]:2222', $droplet{one}{public}) {
        is qx(ssh-keygen -F '$host' -f $known_hosts), '', "ssh-keygen finds no $host";
    }
    isnt qx(ssh-keygen -F x-one.meltanodata.com -f $known_hosts), '', 'but the neighbour';
};

subtest 'once more' => sub {
    my ($since, @copies) = ($cloud->mark, glob "$known_hosts.*Z*");
    my $run = $cloud->run($options, 'run', 'delete', @three);
    is $run->{status}, 0, 'nothing to do, and nothing is asked' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/Nothing is left of $_\./, "nothing is left of $_" for @three;
    is_deeply [ map { "$_->{method} $_->{path}" } grep { $_->{method} ne 'GET' } $cloud->requests($since) ], [],
        'no request but GET was sent';
    is_deeply [ glob "$known_hosts.*Z*" ], \@copies, 'no further copy';
};

# Of this one there is but the record and a cluster with an old name, in a team that is full, that trusts its address.
subtest 'killed when nothing tells any more whose the cluster is' => sub {
    for my $place ('intent:2', 'effect:2') { # the record goes first, then the cluster
        my $record = new_record(A => killed => '192.0.2.9');
        new_cluster($cloud, $full_team, 'pg-of-killed', '192.0.2.9');
        write_file($known_hosts, "192.0.2.9 $key\nother.example.com $key\n");
        my $run = $cloud->run({ env => { %{ $options->{env} }, HOSTLER_CRASH => $place } }, 'run', 'delete', 'killed', '--yes');
        ok $run->{signal}, "killed at $place";
        my ($id) = $cloud->run($options, 'runs')->{stdout} =~ /^(\S+) .*delete killed/m;
        my $resumed = $cloud->run($options, 'resume', $id);
        is $resumed->{status}, 0, 'the run is resumed' or diag $resumed->{stdout}, $resumed->{stderr};
        is $cloud->parts('killed'), '', 'nothing is left';
        is Cloud::read_file($known_hosts), "other.example.com $key\n", 'of its address in known_hosts neither';
        like $resumed->{stdout}, qr/'MeltanoData DBs 1 \(full\)' has room again/, 'and the team is to be renamed';
    }
};

for ([ 'MeltanoData DBs 2', qr/the token .*DBs 2\) may only read/ ], [ '1Password', qr/token does not have write access to the Vault/ ]) {
    my ($team, $reason) = @$_;
    subtest "a token of $team that may only read" => sub {
        $cloud->team(team => $team, readonly => JSON::PP::true);
        my $since = $cloud->mark;
        my $run = $cloud->run($options, 'run', 'delete', 'x-one', 'nobody');
        $cloud->team(team => $team, readonly => JSON::PP::false);
        is $run->{status}, 1, 'stops it, and nothing is asked';
        like $run->{stdout}, qr/warn .*x-one\.meltanodata\.com stays: .*$reason/, 'told before anything is deleted';
        is_deeply [ $cloud->writes($since) ], [], 'nothing is';
    };
}

done_testing;
