#!/usr/bin/perl
# No secret of a set-up is to be seen anywhere but where it belongs: not in the arguments of any process here or on the
# droplet, not in any output, log, journal or file.
#
# Where a secret belongs:
#   the database password    in /etc/meltano/environment.d/postgres (0600) and the environment of the services of that user
#   the customer's password  in the mail and in 1Password
#   the password of staff    in 1Password
#   both, for a moment       in the arguments of `meltano user add` on the droplet, run as meltano: Meltano takes them in
#                            no other way. Not in those of sudo, a shell or sshd.
#   tokens, SMTP password    in the environment of hostler itself
use strict;
use warnings;
use Cloud;
use File::Temp qw(tempdir);
use MIME::Base64 qw(encode_base64);
use Storable qw(nstore retrieve);
use Test::More;
use Time::HiRes qw(sleep time);

my $cloud  = Cloud->connect;
my %env    = %{ $cloud->{env} };
my $folder = tempdir(CLEANUP => 1);
my ($state) = $env{HOSTLER_CA_FILE} =~ m{^(.*)/};

# ---- looking at processes ----

# Writes down what /proc tells of every process, about every 20 ms, until it is asked to end: each different thing once.
# A droplet's processes are in this machine's /proc too.
sub watch {
    my ($result) = @_;
    my $end = 0;
    local $SIG{TERM} = sub { $end = 1 };
    my (%seen, $looks);
    while (!$end) {
        $looks++;
        for my $process (glob '/proc/[0-9]*') {
            my $arguments = slurp("$process/cmdline");
            next if $arguments eq '';
            my $first = !$seen{"arguments\0$process\0$arguments"}++;
            $seen{"environment\0$process\0" . slurp("$process/environ") . "\0\0$arguments"}++ if $first;
        }
        sleep 0.02;
    }
    nstore { looks => $looks, seen => [ keys %seen ] }, $result;
}

sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or return '';
    local $/;
    return scalar(<$file>) // '';
}

# ---- looking for secrets ----

# A secret as it may look: plain, in base64 at each of its three alignments, percent-encoded, JSON-escaped.
sub forms {
    my ($secret) = @_;
    my @forms = $secret;
    for my $shift (0 .. 2) {
        my $text = encode_base64('x' x $shift . $secret, '');
        $text = substr $text, $shift ? 4 : 0;         # what the bytes before it have a part in
        $text = substr $text, 0, length($text) - 4;   # and those after it
        push @forms, $text;
    }
    push @forms, map { my $copy = $secret; $copy =~ s/([^\w.~-])/sprintf $_, ord $1/ge; $copy } '%%%02X', '%%%02x';
    push @forms, $secret =~ s/(["\\\/])/\\$1/gr;
    return @forms;
}

my %secret = (
    'the token of the droplets' => $env{DO_API_TOKEN}, 'the Connect token' => $env{OP_CONNECT_TOKEN},
    'the SMTP password' => $env{HOSTLER_SMTP_PASSWORD},
);
my $count = 0;
$secret{ 'the database token ' . ++$count } = $_ for $cloud->database_tokens;

sub found_in {
    my ($text, @except) = @_;
    my @found;
    for my $what (sort keys %secret) {
        next if grep { $what eq $_ } @except;
        push @found, $what if grep { index($text, $_) >= 0 } forms($secret{$what});
    }
    return @found;
}

# The files below these folders in which a secret is, and which: "PATH: WHAT". The patterns are in no argument.
sub files_with_secrets {
    my ($find_options, @folders) = @_;
    my $patterns = "$folder/patterns";
    open my $file, '>', $patterns or die $!;
    chmod 0600, $patterns;
    print $file map { "$_\n" } map { forms($_) } values %secret;
    close $file;
    my $found = qx(find @folders -xdev -type f $find_options -print0 2>/dev/null | xargs -0r grep -lFaf $patterns -- 2>/dev/null);
    unlink $patterns;
    return map { my $path = $_; map { "$path: $_" } found_in(slurp($path)) } grep { !m{^\Q$folder\E/} } split /\n/, $found;
}

# ---- the runs: as a person sees them with -v, as a program does with --json, and one that fails ----

my $marker = "$folder/begun";
open my $touched, '>', $marker or die $!;
close $touched;
my $watcher = $cloud->background(sub { watch("$folder/seen") });
my $place = $cloud->site_with; # a folder and a home of its own, to look at afterwards
my %run = (
    seen   => $cloud->start_setup('seen',   flags => ['-v'],     in => $place),
    parsed => $cloud->start_setup('parsed', flags => ['--json'], in => $place),
    broken => $cloud->start_setup('broken', flags => ['-v'],     in => $place),
);
my $broken = $cloud->wait_for_droplet('broken');
$cloud->inside($broken, 'sh', '-c', 'echo "exit 1" >/var/meltano/.venv/bin/meltano');
Hostler::finish($run{$_}) for sort keys %run;
$cloud->end_background($watcher);

for my $tenant (qw(seen parsed broken)) {
    my ($customer, $staff) = map { $cloud->item("$_$tenant.meltanodata.com") } '', 'meltano@';
    $secret{"the customer's password of $tenant"}   = $customer->{password};
    $secret{"the password of staff of $tenant"}     = $staff->{password};
    $secret{"the database password of $tenant"}     = $cloud->cluster($tenant)->{connection}{password};
}

is $run{seen}{status},   0, 'set-up succeeds' or diag $run{seen}{stderr};
is $run{parsed}{status}, 0, 'and so it does with --json' or diag $run{parsed}{stderr};
is $run{broken}{status}, 1, 'and one fails' or diag $run{broken}{stdout};
is scalar(keys %secret), 15, 'there are fifteen secrets';

subtest 'output' => sub {
    for my $tenant (sort keys %run) {
        is_deeply [ found_in($run{$tenant}{$_}) ], [], "$_ of $tenant" for qw(stdout stderr);
    }
    like $run{seen}{stdout}, qr/meltano user add seen|user add --role admin -- seen \[secret\]/, 'where one would be, it says [secret]';
};

subtest 'processes' => sub {
    my $watched = retrieve("$folder/seen");
    cmp_ok $watched->{looks}, '>', 50, "there were $watched->{looks} looks";
    my (%bad, %allowed);
    for (@{ $watched->{seen} }) {
        my ($kind, $process, $text) = split /\0/, $_, 3;
        if ($kind eq 'arguments') {
            my @found = found_in($text) or next;
            my $shown = join ' ', split /\0/, $text;
            my $is_tool = $shown =~ m{^(?:\S*python\S* )?/var/meltano/\.venv/bin/meltano user add --role admin -- (\w+) \S+$};
            $is_tool && !(grep { !/^the (?:customer's password|password of staff)/ } @found)
                ? $allowed{$1}++ : ($bad{ join(', ', @found) . " in the arguments: " . substr($shown, 0, 60) }++);
        }
        else {
            my ($environment, $arguments) = split /\0{2,}/, $text, 2;
            my @found = found_in($environment) or next;
            my $is_ours = $arguments =~ /^(?:\Q$Hostler::binary\E|ssh\0-G|perl|\S*\bperl\b)/; # also what a fork was before its exec
            next if $is_ours && !grep { !/^the (?:\w+ )?(?:database )?token|SMTP/ } @found;
            # The service; and the local cloud's own way of making the role, which stands for what DigitalOcean does.
            next if $arguments =~ m{/var/meltano/\.venv/bin/|\bpsql\b.*--host=\Q$state\E/}s && "@found" =~ /^the database password of \w+$/;
            $bad{ join(', ', @found) . ' in the environment of ' . join ' ', split /\0/, substr $arguments, 0, 60 }++;
        }
    }
    is_deeply [ sort keys %bad ], [], 'no process shows a secret';
    ok $allowed{$_}, "but `meltano user add $_`, which the watch has seen" for qw(seen parsed meltano);
};

subtest 'the droplets' => sub {
    for my $tenant (sort keys %run) {
        my $droplet = $cloud->droplet($tenant);
        # All that it has written to its disk since it was made, its logs included; and what it keeps in memory.
        my @found = files_with_secrets('', "$state/droplets/$droplet->{id}/disk/upper");
        s{^\Q$state\E/droplets/\d+/disk/upper}{} for @found;
        is_deeply \@found, ["/etc/meltano/environment.d/postgres: the database password of $tenant"],
            "$tenant: the one file that has one";
        is_deeply [ found_in($cloud->inside($droplet, qw(find /tmp /run /dev/shm -type f -size -1000k -exec cat {} +))) ], [],
            "$tenant: its files in memory";
        is_deeply [ found_in($cloud->inside($droplet, qw(journalctl --output=export --all --no-pager))) ], [], "$tenant: its journal";
        is $cloud->inside($droplet, qw(stat -c), '%a %U', '/etc/meltano/environment.d/postgres'), "600 meltano\n",
            "$tenant: which is for meltano only";
    }
};

subtest 'this machine' => sub {
    is_deeply [ files_with_secrets('', "$state/log", "$state/processes", "$state/droplets/*/about") ], [], 'logs of the servers';
    is_deeply [ found_in(slurp("$state/requests.jsonl")) ], [], 'the log of requests';
    cmp_ok -s "$cloud->{journal}/hostler/journal.db", '>', 0, 'there is a journal';
    is_deeply [ files_with_secrets('', $cloud->{journal}) ], [], 'the journal';
    is_deeply [ files_with_secrets('', $place) ], [], 'where it ran, and its home';
    is_deeply [ files_with_secrets("-newer $marker -size -2000k", grep { -d } qw(/tmp /var/tmp /dev/shm /root /var/log)) ], [],
        'files that are newer than the runs';
    is sprintf('%04o', (stat $env{HOSTLER_KNOWN_HOSTS})[2] & 07777), '0600', 'known_hosts is for its owner only';
};

subtest 'the mail' => sub {
    for my $tenant (qw(seen parsed)) {
        my ($letter) = $cloud->letters_to("$tenant\@example.com");
        is_deeply [ found_in("$letter->{text}$letter->{html}$letter->{raw}") ], ["the customer's password of $tenant"],
            "that to $tenant has the one password that belongs there";
    }
};

done_testing;
