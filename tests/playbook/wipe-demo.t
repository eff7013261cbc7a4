#!/usr/bin/perl
# Emptying the demo's database: the right one of several clusters, schemas of every kind of name, all of them or none.
use strict;
use warnings;
use utf8;
use Cloud;
use Clusters;
use Droplets;
use File::Temp 'tempdir';
use Test::More;

binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;

my $cloud = Cloud->connect;
my (undef, $first_team, $second_team) = $cloud->database_tokens;
my $demo = new_droplet($cloud, 'demo');
my $ours   = new_cluster($cloud, $second_team, 'pg-nyc3-of-somebody', $demo->{public}, $demo->{private});
my $others = new_cluster($cloud, $first_team,  'meltano-demo', '192.0.2.1'); # named like the demo's, but it is not

# The demo's host key is known already, as that of an instance that was set up from here.
my $known_hosts = write_file(tempdir(CLEANUP => 1) . '/known_hosts', join '', map { "demo.meltanodata.com $_\n" }
    split /\n/, $cloud->inside($demo, 'cat', '/etc/ssh/ssh_host_ed25519_key.pub'));
END { unlink $known_hosts if $known_hosts }
my $options = { env => { HOSTLER_KNOWN_HOSTS => $known_hosts } };

sub bytes { my $text = shift; utf8::encode($text); return $text }
sub wipe  { return $cloud->run($options, 'run', 'wipe-demo', @_) }

sub schemas_of {
    return sql($cloud, shift, q(select string_agg(nspname, ', ' order by nspname) from pg_namespace where nspname !~ '^pg_'));
}

my @names = ('Weird "Name"', 'drop', 'ünï', 'a;b', 'UPPER', "quo'te", 'per%cent', ' blank ', "tab\there", 'public ', 'Public',
    '"; drop schema public cascade; --', 'x' x 63, 'select', 'information_schema ', 'pg', '$1', '\\', '日本');
push @names, map { "load_$_" } 1 .. 200 - @names;

sub fill {
    my ($cluster, @schemas) = @_;
    my $sql = '';
    for my $name (@schemas) {
        my $quoted = bytes($name) =~ s/"/""/gr;
        $sql .= qq(create schema "$quoted"; create table "$quoted"."T" (id int primary key);\n);
    }
    sql($cloud, $cluster, $sql);
}

my $in_public = 'create table public.kept (id int primary key, note text); insert into kept values (1, $$stays$$);'
    . 'create view public.seen as select note from kept; create extension hstore schema public;';
sql($cloud, $_, $in_public) for $ours, $others;
fill($others, 'theirs');
fill($ours, @names);
sql($cloud, $ours, <<'SQL');
create table "drop".child (id int primary key references "Weird ""Name"""."T" (id), more int references public.kept (id));
create view "UPPER".seen as select c.id from "drop".child c join load_150."T" t using (id);
create function load_7.twice(x load_8."T") returns int language sql as 'select 2 * ($1).id';
create extension citext schema load_9;
create table load_10.words (word load_9.citext);
alter extension citext add schema load_12;
create table load_11.large as select n, repeat('x', 500) as filler from generate_series(1, 200000) n;
SQL

sub public_of {
    return sql($cloud, shift, 'select * from kept; select * from seen; select relname, relkind from pg_class '
        . q(where relnamespace = 'public'::regnamespace order by 1; select extname from pg_extension order by 1));
}
my ($before, $their_public) = (schemas_of($ours), public_of($others));

subtest 'a dry run' => sub {
    my $run = wipe('-n');
    is $run->{status}, 0, 'ends well' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/demo\.meltanodata\.com uses the cluster pg-nyc3-of-somebody in team 'MeltanoData DBs 3'/, 'finds the cluster';
    is scalar(() = $run->{stdout} =~ /plan .*DROP SCHEMA/g), 200, 'plans to drop 200 schemas';
    like $run->{stdout}, qr/\QDROP SCHEMA IF EXISTS "Weird ""Name""" CASCADE\E/, 'with their names quoted';
    unlike $run->{stdout}, qr/fell/, 'does not say that any fell';
    is schemas_of($ours), $before, 'and drops none';
};

subtest 'the name has to be typed' => sub {
    is wipe()->{status}, 3, 'without a terminal it waits for one';
    my $run = typed($cloud, "demo\n", $options, 'run', 'wipe-demo');
    is $run->{status}, 1, 'another answer';
    like $run->{stdout}, qr/Type 'demo\.meltanodata\.com' to go on:/, 'it says what to type';
    is schemas_of($ours), $before, 'nothing fell';
};

subtest 'somebody uses a table' => sub {
    my $holder = open my $psql, '|-', "tests/cloud/database psql $ours->{connection}{database} -qAt >/dev/null 2>&1" or die $!;
    $psql->autoflush;
    print $psql "begin; select * from load_99.\"T\"; \n";
    eventually('the lock', sub {
        sql($cloud, $ours, q(select count(*) from pg_locks where relation = 'load_99."T"'::regclass)) > 0;
    });
    my $run = wipe('--yes', '--lock-timeout', '1');
    is $run->{status}, 1, 'it gives up';
    like $run->{stderr}, qr/lock timeout/, 'says why' or diag $run->{stdout}, $run->{stderr};
    like $run->{stderr}, qr/hint +nothing was dropped: somebody uses a table/, 'and what to do';
    cmp_ok $run->{seconds}, '<', 20, 'after the time given';
    is schemas_of($ours), $before, 'nothing fell, neither what came before that table';
    close $psql;
};

subtest 'public uses something in another schema' => sub {
    sql($cloud, $ours, 'create view public.uses as select * from load_3."T"; alter table kept add column word load_9.citext');
    my $run = wipe('--yes');
    is $run->{status}, 1, 'it refuses';
    like $run->{stderr}, qr/in public would fall too: .*column word of table kept.*view uses/, 'names what would fall'
        or diag $run->{stdout}, $run->{stderr};
    is schemas_of($ours), $before, 'nothing fell';
    sql($cloud, $ours, 'drop view public.uses; alter table kept drop column word');
};

subtest 'it cannot be told which cluster it is' => sub {
    my $trust = sub {
        call($cloud, $first_team, PUT => "/v2/databases/$others->{id}/firewall",
            { rules => [ map { { type => 'ip_addr', value => $_ } } @_ ] });
    };
    $trust->('192.0.2.1', $demo->{public});
    my $run = wipe('--yes');
    $trust->('192.0.2.1');
    is $run->{status}, 1, 'two clusters trust the droplet';
    like $run->{stderr}, qr/2 clusters trust demo\.meltanodata\.com: meltano-demo of .*, pg-nyc3-of-somebody of/, 'both are named';
    new_droplet($cloud, 'lonely');
    $run = wipe('--yes', '--tenant', 'lonely');
    like $run->{stderr}, qr/none of \d+ clusters in 3 teams trusts lonely\.meltanodata\.com/, 'none does';
    is schemas_of($ours), $before, 'nothing fell';
};

subtest 'wiping' => sub {
    my $public = public_of($ours) =~ s/^citext\n//mr;
    my $run = typed($cloud, "demo.meltanodata.com\n", $options, 'run', 'wipe-demo');
    is $run->{status}, 0, 'ends well' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/200 schemas fell: .*Weird "Name"/, 'it says what fell';
    is schemas_of($ours), 'information_schema, public', 'only public and PostgreSQL\'s own are left';
    is public_of($ours), $public, 'public is as it was';
    is schemas_of($others), 'information_schema, public, theirs', 'the other cluster has its schemas';
    is public_of($others), $their_public, 'and its public';
    unlike "$run->{stdout}$run->{stderr}", qr/$ours->{connection}{password}/, 'the password is nowhere in the output';
};

subtest 'again' => sub {
    my $run = wipe();
    is $run->{status}, 0, 'nothing is asked' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/Only public is left/, 'there is nothing to drop';
    like $run->{stdout}, qr/: done .* 0 changes/, 'and nothing changes';
};

subtest 'a schema of somebody else' => sub {
    $cloud->script('database', 'psql', $ours->{connection}{database}, '-qc', 'create schema of_postgres');
    my $run = wipe();
    is $run->{status}, 1, 'it refuses, and asks nothing';
    like $run->{stderr}, qr/the schema of_postgres belongs to postgres: this login may not drop it/, 'which, and why';
    $cloud->script('database', 'psql', $ours->{connection}{database}, '-qc', 'drop schema of_postgres');
};

subtest 'what comes after the list was shown' => sub {
    fill($ours, 'seen');
    my ($id) = wipe()->{stderr} =~ /hostler answer (\S+) VALUE/;
    fill($ours, 'unseen');
    my $run = $cloud->run($options, 'answer', $id, 'demo.meltanodata.com');
    is $run->{status}, 0, 'the answer comes later' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/1 schema fell: seen\./, 'what was shown falls';
    is schemas_of($ours), 'information_schema, public, unseen', 'what was not stays';
    is wipe('--yes')->{status}, 0, 'until the next time';
};

subtest 'with what depends on it' => sub {
    fill($ours, 'last');
    sql($cloud, $ours, 'create view public.uses as select * from last."T"');
    my $run = wipe('--yes', '--with-dependents');
    is $run->{status}, 0, 'where that was agreed to' or diag $run->{stdout}, $run->{stderr};
    like $run->{stdout}, qr/warn .*With them fell, in public: view uses/, 'it says so';
    is schemas_of($ours), 'information_schema, public', 'the schema is gone';
};

done_testing;
