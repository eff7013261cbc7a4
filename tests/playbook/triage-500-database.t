#!/usr/bin/perl
# What between Meltano and its database keeps it from serving, and pages that fail, made for real. A restart is proposed
# only where one helps.
use strict;
use warnings;
use Test::More;
use Triage;

my $on       = Triage->new('stranded');
my $settings = '/etc/meltano/environment.d/postgres';
my $restart  = 'systemctl reset-failed meltano; systemctl restart meltano 2>/dev/null';
my $role     = $on->{cluster}{connection}{user};
my $database = $on->{cluster}{connection}{database};

sub shell   { my @words = @_; return sub { $on->shell(@words) } }
sub sql     { my ($text) = @_; return sub { $on->sql($text) } }
sub setting { my ($name, $value) = @_; return shell("sed -i 's/^$name=.*/$name=$value/' $settings; $restart") }

# ---- settings that lead elsewhere ----

for ([ 'PG_PORT', '25061' ], [ 'PG_DATABASE', 'of_last_year' ], [ 'PG_ADDRESS', 'gone.meltanodata.com' ], [ 'PG_USERNAME', 'nobody' ]) {
    my ($name, $value) = @$_;
    $on->fault("another $name", make => setting($name, $value), cause => 'database-settings',
        evidence => qr/\Q$name is $value\E, and DigitalOcean tells/, mend => 'configure-meltano stranded');
}

$on->fault('settings that the service has not read yet', make => sub {
    $on->sql(qq(ALTER ROLE "$role" PASSWORD 'another'));
    $on->shell("sed -i 's/^PG_PASSWORD=.*/PG_PASSWORD=another/' $settings");
}, cause => 'settings-not-loaded', mend => 'restart stranded', after => sub {
    $on->sql(qq(ALTER ROLE "$role" PASSWORD '$on->{cluster}{connection}{password}'));
    $on->follow('run configure-meltano stranded');
});

# ---- a database that refuses ----

$on->fault('no connections left', make => sql(qq(ALTER ROLE "$role" CONNECTION LIMIT 0)), cause => 'database-has-no-room-for-connections',
    evidence => qr/too many connections for/, by_hand => qr/pg_stat_activity/, after => sql(qq(ALTER ROLE "$role" CONNECTION LIMIT -1)));

$on->fault('a user that may not log in', make => sql(qq(ALTER ROLE "$role" NOLOGIN)), cause => 'database-role',
    evidence => qr/is not permitted to log in/, by_hand => qr/configure-meltano/, after => sql(qq(ALTER ROLE "$role" LOGIN)));

$on->fault('a database that is read-only', make => sub { $on->sql(qq(ALTER ROLE "$role" SET default_transaction_read_only = on)); $on->shell($restart) },
    cause => 'database-read-only', by_hand => qr/nearly full/, after => sql(qq(ALTER ROLE "$role" RESET default_transaction_read_only)));

$on->fault('a user without rights', make => sql('ALTER TABLE meltano_user OWNER TO postgres'), cause => 'database-rights',
    evidence => qr/permission denied for table meltano_user/, by_hand => qr/GRANT/, after => sql(qq(ALTER TABLE meltano_user OWNER TO "$role")));

$on->fault('a schema without rights', make => sub {
    $on->sql('DROP TABLE meltano_user; ALTER SCHEMA public OWNER TO postgres');
    $on->shell($restart);
}, cause => 'database-rights', evidence => qr/permission denied for schema public/, after => sql(qq(ALTER SCHEMA public OWNER TO "$role")));

$on->fault('tables that are gone', make => sql('DROP TABLE meltano_user'), cause => 'database-tables-missing',
    evidence => qr/no table public\.meltano_user/, mend => 'restart stranded');

my $locker;
$on->fault('a lock that nobody gives back', make => sub {
    $locker = $on->{cloud}->background('tests/cloud/database', 'psql', $database, '-qc',
        'BEGIN; LOCK TABLE meltano_user; SELECT pg_sleep(600)');
    $on->{cloud}->wait_until('the lock', sub { $on->sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'meltano_user'::regclass") > 0 });
}, cause => 'database-locked', evidence => qr/session \d+ of postgres.* wait for it/, by_hand => qr/pg_terminate_backend\(\d+\)/, after => sub {
    $on->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");
    $on->{cloud}->end_background($locker);
});

$on->fault('it ended while the database was away', make => sub {
    $on->sql(qq(ALTER ROLE "$role" CONNECTION LIMIT 0));
    $on->shell('systemctl reset-failed meltano; systemctl restart meltano 2>/dev/null');
    $on->wait_inside('systemctl is-failed meltano');
    $on->sql(qq(ALTER ROLE "$role" CONNECTION LIMIT -1));
}, cause => 'database-answers-again', mend => 'restart stranded');

# ---- pages that fail ----

my $project = '/var/meltano/project';
$on->fault('a page that finds meltano.yml broken', make => shell("cp -p $project/meltano.yml /root/; printf '\\tx: [\\n' >>$project/meltano.yml"),
    cause => 'project-file-broken', evidence => qr/GET \/ answers 500/, after => shell("mv /root/meltano.yml $project/"));

$on->fault('a page that fails for a reason that nobody knows', make => shell("rm -f $project/.meltano/run/last-request; su -s /bin/sh meltano -c 'mkdir $project/.meltano/run/last-request'"),
    cause => 'file-of-another-kind', evidence => qr{last-request}, after => shell("rmdir $project/.meltano/run/last-request"));

$on->nothing_is_wrong;
done_testing;
