#!/usr/bin/perl
# What every playbook promises (see Promises.pm), kept by those that change instances: a true plan, a second run that
# changes nothing, and a run that may be killed anywhere. Here at a few places, drawn with a printed seed; `make chaos`
# kills at all of them.
use strict;
use warnings;
use Cloud;
use Clusters;
use Droplets;
use Promises;
use Test::More;

my $cloud  = Cloud->connect;
my $tenant = 'promised';
my $made   = $cloud->setup($tenant);
$made->{status} == 0 or die "there is no instance: $made->{stderr}";
my ($droplet, $cluster) = ($cloud->droplet($tenant), $cloud->cluster($tenant));

sub inside  { return $cloud->inside($droplet, @_) }
sub shell   { return inside('sh', '-c', @_) }
sub machine { return machine_of($cloud, $droplet) }

# What the service that runs has in its environment.
sub environment { return shell('tr "\0" "\n" 2>/dev/null <"/proc/$(systemctl show -p MainPID --value meltano)/environ" | grep -E "^(PG|MY)_" | sort') }

# Meltano has read its files, whatever was done to it before.
sub restart_meltano { shell('systemctl reset-failed meltano; systemctl restart meltano 2>/dev/null') }

keeps_its_promises($cloud, 'upgrade', {
    command => [ 'upgrade', $tenant, '--mend' ],
    before  => sub {
        shell('cd /var/meltano/project/.meltano; rm -rf version extractors loaders transforms dashboards; mkdir -p "of root";'
            . ' touch "of root/file"; chown -R root: "of root"');
    },
    look    => \&machine,
    repeats => 1,
    again   => qr/Meltano 1\.105\.0, as before/,
});

keeps_its_promises($cloud, 'restart', {
    command => [ 'restart', $tenant ],
    look    => \&machine,
    repeats => 1,
    again   => qr/serves again/,
});

my $env = '/var/meltano/project/.env';
keeps_its_promises($cloud, 'repair-env', {
    command => [ 'repair-env', $tenant ],
    before  => sub {
        shell("rm -f /etc/meltano/env.* /etc/meltano/environment.d/secrets; printf 'A=true\\r\\nMY_TOKEN=\"x y\"\\r\\nB=\"no\\r\\n' >$env");
        inside('chown', 'root:', $env);
        restart_meltano();
    },
    look  => sub { return machine() . environment() },
    again => qr/nothing to do/,
});

keeps_its_promises($cloud, 'configure-meltano', {
    command => [ 'configure-meltano', $tenant ],
    before  => sub {
        shell('cd /etc/meltano/environment.d; sed -i s/^PG_PASSWORD=.*/PG_PASSWORD=wrong/ postgres; chown root: postgres; rm -f own; echo MY=1 >own');
        restart_meltano();
        call($cloud, $cluster->{token}, PUT => "/v2/databases/$cluster->{id}/firewall",
            { rules => [ { type => 'ip_addr', value => '192.0.2.1' } ] });
    },
    look => sub {
        my ($is) = grep { $_->{id} eq $cluster->{id} } @{ $cloud->state->{clusters} };
        return join "\n", machine() . environment(), map { "trusts $_->{value}" } @{ $is->{rules} };
    },
    again => qr/is up to date/,
});

# The database answers at this address, too: Meltano goes on serving, with settings that are not the cluster's.
my $other_address = $cluster->{connection}{host} =~ s/^198\.18\./198.19./r;
keeps_its_promises($cloud, 'configure-meltano where Meltano serves', {
    command => [ 'configure-meltano', $tenant ],
    before  => sub {
        shell('sed -i "s/^PG_ADDRESS=.*/PG_ADDRESS=$0/" /etc/meltano/environment.d/postgres', $other_address);
        restart_meltano();
        like environment(), qr/^PG_ADDRESS=\Q$other_address\E$/m, 'Meltano serves with another address';
    },
    look  => sub { return machine() . environment() },
    again => qr/is up to date/,
});
like environment(), qr/^PG_ADDRESS=\Q$cluster->{connection}{host}\E$/m, 'Meltano runs with the address of its cluster';

keeps_its_promises($cloud, 'configure-meltano --flag', {
    command => [ 'configure-meltano', '--flag', 'MY_FLAG', $tenant ],
    before  => sub { shell("sed -i /MY_FLAG/d $env; systemctl reload meltano") },
    look    => sub {
        # Meltano reads its flags a moment after it was told to.
        eval { $cloud->wait_until('the flag', sub { inside('curl', '-s', 'http://localhost:5000/api/v1/flags') =~ /MY_FLAG/ }) }
            if shell("cat $env") =~ /MY_FLAG/;
        return machine() . inside('curl', '-s', 'http://localhost:5000/api/v1/flags');
    },
    again => qr/It has MY_FLAG=true already/,
});

# What Caddy has loaded, not only what its file says.
sub caddy { return machine() . inside('curl', '-s', 'http://localhost:2019/config/') . "\n" . shell('tr "\0" "\n" <"/proc/$(systemctl show -p MainPID --value caddy)/environ" | grep HOSTNAME') }

my $caddyfile = inside('cat', '/etc/caddy/Caddyfile');
my $wanted    = File::Temp->new;
print $wanted $caddyfile =~ s/(\treverse_proxy)/\theader X-Asked for\n$1/r;
close $wanted or die $!;

# Gives Caddy this Caddyfile and host name, and has it read them.
sub configure_caddy {
    my ($text, $hostname) = @_;
    open my $pipe, '|-', 'tests/cloud/droplet', 'exec', $droplet->{id}, 'sh', '-c',
        'cat >/etc/caddy/Caddyfile; echo "HOSTNAME=$0" >/etc/caddy/environment; systemctl reset-failed caddy; systemctl restart caddy', $hostname or die $!;
    print $pipe $text;
    close $pipe or die 'Caddy is not configured';
}

keeps_its_promises($cloud, 'configure-caddy --file', {
    command => [ 'configure-caddy', '--file', $wanted->filename, $tenant ],
    before  => sub { configure_caddy($caddyfile, $droplet->{name}) },
    look    => \&caddy,
    again   => qr/has this configuration already/,
});

keeps_its_promises($cloud, 'configure-caddy', {
    command => [ 'configure-caddy', $tenant ],
    before  => sub {
        configure_caddy($caddyfile =~ s/^\ttls [^\n{]*(?:\{.*?^\t\})?$/\ttls internal/msr, "$droplet->{name}:443");
    },
    look    => \&caddy,
    again   => qr/has this configuration already/,
});

keeps_its_promises($cloud, 'add-user', {
    command => [ 'add-user', $tenant, 'grace' ],
    before  => sub {
        sql($cloud, $cluster, "delete from meltano_user where username = 'grace'");
        my $item = $cloud->item("grace\@$droplet->{name}") or return;
        $cloud->onepassword("/v1/vaults/$item->{vault}{id}/items/$item->{id}", 'DELETE');
    },
    look => sub {
        return join "\n", machine(), sql($cloud, $cluster, 'select username, roles from meltano_user order by 1'),
            sort map { "item $_->{title}" } @{ $cloud->state->{items} };
    },
    again => qr/has the user grace already: nothing to do/,
});

keeps_its_promises($cloud, 'free-disk', {
    command => [ 'free-disk', $tenant, '--yes' ],
    before  => sub {
        shell('cd /var/meltano/project/.meltano/run && yes a line of the log | head -c 3000000 >old.log && chown meltano: old.log;'
            . 'mkdir -p /var/cache/apt/archives && head -c 2000000 /dev/zero >/var/cache/apt/archives/some.deb;'
            . 'mkdir -p /var/log/journal/$(cat /etc/machine-id) && cd /var/log/journal/$(cat /etc/machine-id) && for n in 1 2 3; do'
            . ' fallocate -l 50M system@0123456789abcdef0123456789abcdef-000000000000000$n-0005f0a0b0c0d0e$n.journal; done');
    },
    look => sub {
        return machine() . shell('stat -c "%U %s %n" /var/meltano/project/.meltano/run/old.log; ls /var/cache/apt/archives/*.deb 2>&1;'
            . 'ls /var/log/journal/*/ | grep 0123456789abcdef');
    },
    again => qr/nothing that can go without being missed/,
});

my $public = 'set client_min_messages = warning; create table if not exists public.kept (id int); drop schema if exists "one day", drop_me cascade;';
keeps_its_promises($cloud, 'wipe-demo', {
    command => [ 'wipe-demo', '--tenant', $tenant, '--yes' ],
    before  => sub {
        sql($cloud, $cluster, "$public create schema \"one day\"; create schema drop_me; create table drop_me.t (id int primary key);"
            . 'create table "one day".u (id int references drop_me.t);');
    },
    look => sub {
        return sql($cloud, $cluster, q(select nspname, relname from pg_namespace n left join pg_class c on relnamespace = n.oid
            where nspname !~ '^pg_' and nspname <> 'information_schema' order by 1, 2));
    },
    again => qr/Only public is left/,
});

# Two at once, one of them whole. (A droplet that is made here is pinned in a file of this test's own.)
sub known_hosts { return $cloud->{env}{HOSTLER_KNOWN_HOSTS} }
my (undef, $team) = $cloud->database_tokens;
my $other_key = 'other.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI' . ('A' x 43) . "\n";
keeps_its_promises($cloud, 'delete', {
    command => [ 'delete', 'gone1', 'gone2', '--yes' ],
    before  => sub {
        my $one = $cloud->parts('gone1') eq '' ? new_droplet($cloud, 'gone1') : $cloud->droplet('gone1');
        new_cluster($cloud, $team, 'meltano-gone1', $one->{public}) if !$cloud->cluster('gone1');
        new_cluster($cloud, $team, 'meltano-gone2', '192.0.2.7')    if !$cloud->cluster('gone2');
        new_item($cloud, $_) for grep { !$cloud->item($_) } 'gone1.meltanodata.com', 'meltano@gone1.meltanodata.com';
        unlink glob known_hosts() . '.*';
        write_file(known_hosts(), "$one->{public} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" . ('B' x 43) . "\n$other_key");
    },
    look => sub {
        my $state = $cloud->state;
        my @there = map { my $kind = $_; map { "$kind " . ($_->{title} // $_->{name}) } @{ $state->{$kind} } } qw(droplets records clusters items);
        return join "\n", sort(@there), Cloud::read_file(known_hosts()), map { s/\.[^.]*\z/.DATE/r } glob known_hosts() . ".*";
    },
    again => qr/Nothing is left of gone1.*Nothing is left of gone2/s,
});

done_testing;
