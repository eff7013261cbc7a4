#!/usr/bin/perl
# A .env that was overwritten: secrets move where they belong, flags are live, all else stays byte for byte.
use strict;
use warnings;
use Cloud;
use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep time);

my $cloud  = Cloud->connect;
my $tenant = 'dotenv';
my $made   = $cloud->setup($tenant);
is $made->{status}, 0, 'an instance' or die $made->{stderr};
my $droplet = $cloud->droplet($tenant);
my ($env, $folder) = ('/var/meltano/project/.env', '/etc/meltano/environment.d');

sub repair  { return $cloud->run({}, 'run', 'repair-env', $tenant, @_) }
sub inside  { return $cloud->inside($droplet, @_) }
sub flags   { return decode_json inside('curl', '-s', 'http://localhost:5000/api/v1/flags') }
sub started { return inside('systemctl', 'show', '-p', 'ActiveEnterTimestampMonotonic', '-p', 'MainPID', 'meltano') }
sub copies  { return split /\n/, inside('sh', '-c', 'ls /etc/meltano/env.* 2>/dev/null') }

sub put {
    my ($text) = @_;
    open my $pipe, '|-', 'tests/cloud/droplet', 'exec', $droplet->{id}, 'sh', '-c', 'cat >"$0"', $env or die $!;
    print $pipe $text;
    close $pipe or die 'cat failed';
}

sub fingerprint {
    return inside('sh', '-c', <<~'SH') . started();
        find /etc /root /var/meltano -xdev -type f ! -name last-request ! -name '*.log' -printf '%p %u:%g %m %T@ %s\n' | sort
        SH
}

subtest 'a good one' => sub {
    my $before = fingerprint();
    my $run = repair();
    is $run->{status}, 0, 'ends well' or diag $run->{stderr};
    like $run->{stdout}, qr/nothing to do.*0 changes/s, 'and stays';
    is fingerprint(), $before, 'nothing on the instance changed';
};

my $overwritten = join "\r\n", '# flags of this customer', 'MELTANO_READONLY=true # for the demo', '',
    "export GITLAB_API_TOKEN='glpat-a b#c'", 'STRIPE_SECRET="sk \\"live\\" 42"', 'PG_PASSWORD=oldoldold',
    'WAREHOUSE=postgresql://etl:Tr0ub4dor@db/w', '  MELTANO_NOTIFICATION = "false"', '';
my @secrets = ('glpat-a b#c', 'live', 'oldoldold', 'Tr0ub4dor');

subtest 'one with secrets, comments, quotes and CRLF' => sub {
    put($overwritten);
    my ($before, $settings) = (fingerprint(), inside('cat', "$folder/postgres"));
    my $plan = repair('--dry-run');
    is $plan->{status}, 0, 'a dry run ends well' or diag $plan->{stderr};
    like $plan->{stdout}, qr/GITLAB_API_TOKEN moves/, 'and says what moves';
    like $plan->{stdout}, qr/plan .*systemctl restart meltano/, 'and that Meltano will be restarted';
    is fingerprint(), $before, 'but changes nothing';

    my $run = repair();
    is $run->{status}, 0, 'the run ends well' or diag $run->{stderr};
    for my $secret (@secrets) {
        unlike $_, qr/\Q$secret\E/, 'no secret is shown' for grep { $_ } map { @$_{qw(stdout stderr)} } $plan, $run;
    }
    is inside('cat', $env), join("\r\n", '# flags of this customer', 'MELTANO_READONLY=true # for the demo', '',
        '  MELTANO_NOTIFICATION = "false"', ''), 'flags, comments, blanks and line ends stay';
    is inside('stat', '-c', '%U:%G %a', "$folder/secrets"), "meltano:meltano 600\n", 'the secrets are meltano\'s alone';
    is inside('sh', '-c', '. "$0"; printf "%s|" "$GITLAB_API_TOKEN" "$STRIPE_SECRET" "$WAREHOUSE" "$PG_PASSWORD"',
        "$folder/secrets"), 'glpat-a b#c|sk "live" 42|postgresql://etl:Tr0ub4dor@db/w||', 'and whole';
    is inside('cat', "$folder/postgres"), $settings, 'the database settings stay as they were';
    like $run->{stdout}, qr/PG_PASSWORD is set in .*postgres, and only goes/, 'which is said';
    like inside('sh', '-c', 'tr "\0" "\n" </proc/$(systemctl show -p MainPID --value meltano)/environ'),
        qr/^GITLAB_API_TOKEN=glpat-a b#c$/m, 'Meltano was restarted with them';
    is copies(), 1, 'there is one copy';
    my ($copy) = copies();
    like $copy, qr/env\.\d{8}-\d{6}$/, 'with the date';
    is inside('cat', $copy), $overwritten, 'of what it was';
    is inside('stat', '-c', '%U %a', $copy), "meltano 600\n", 'for meltano alone';

    my $after = fingerprint();
    my $again = repair();
    like $again->{stdout}, qr/nothing to do.*0 changes/s, 'a second run has nothing to do';
    is fingerprint(), $after, 'and changes nothing';
};

subtest 'one that cannot be read, and is root\'s' => sub {
    put("MELTANO_READONLY=\"false\n<html>oops</html>\nMELTANO_NOTIFICATION=true\n");
    inside('chown', 'root:root', $env);
    inside('chmod', '600', $env);
    my $before = started();
    my $run = repair();
    is $run->{status}, 0, 'it is mended' or diag $run->{stderr};
    is inside('cat', $env), "MELTANO_READONLY=\"false\"\n# not a setting: <html>oops</html>\nMELTANO_NOTIFICATION=true\n",
        'the quote is closed, what is no setting is a comment';
    is inside('stat', '-c', '%U', $env), "meltano\n", 'it is meltano\'s again';
    is started(), $before, 'Meltano was not restarted';
    my $end = time + 5; # a signal tells Meltano, which answers nothing
    sleep 0.05 until flags()->{MELTANO_NOTIFICATION} || time > $end;
    ok flags()->{MELTANO_NOTIFICATION}, 'the flags are live';
    ok !flags()->{MELTANO_READONLY}, 'all of them';
};

subtest 'another secret' => sub {
    put("MELTANO_READONLY=true\nNEW_TOKEN=tok3n-of-today\n");
    my $before = started();
    my $run = repair();
    is $run->{status}, 0, 'is moved' or diag $run->{stderr};
    like inside('cat', "$folder/secrets"), qr/^NEW_TOKEN=tok3n-of-today$/m, 'to the others';
    like inside('cat', "$folder/secrets"), qr/^GITLAB_API_TOKEN=/m, 'which stay';
    isnt started(), $before, 'and Meltano was restarted for it';
};

subtest 'what another file sets' => sub {
    put("MELTANO_READONLY=true\nPG_ADDRESS=10.0.0.1\n");
    my $before = started();
    my $run = repair();
    like $run->{stdout}, qr/PG_ADDRESS is set in .*postgres, and only goes/, 'only goes' or diag $run->{stderr};
    is started(), $before, 'without a restart';
};

done_testing;
