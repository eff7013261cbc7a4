#!/usr/bin/perl
# Every fault that the handbook's 500 has had, made for real on one instance after the other: the verdict names the cause,
# shows the evidence and the playbook that mends it; and looking changes nothing.
use strict;
use warnings;
use Cloud;
use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(sleep time);

my $cloud  = Cloud->connect;
my $tenant = 'triage';
my $name   = "$tenant.meltanodata.com";
my $made   = $cloud->setup($tenant);
is $made->{status}, 0, 'an instance' or BAIL_OUT $made->{stderr};
my $droplet = $cloud->droplet($tenant);
my $cluster = $cloud->cluster($tenant);
my $project = '/var/meltano/project';
my $scratch = tempdir(CLEANUP => 1);

sub inside { return $cloud->inside($droplet, @_) }
sub shell  { return inside('sh', '-c', @_) }
sub triage { return $cloud->run({ timeout => 120 }, 'run', 'triage-500', $tenant, @_) }

# Files with owner, mode, time and size, and when the services were started. Not among them: what a request writes,
# whoever sends it (the log, last-request), what Caddy keeps for itself, and scratch that is gone again.
sub fingerprint {
    return shell(<<~'SH');
        find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/log \
            -o -path /var/lib/caddy -o -path /var/meltano/project/.meltano/run \) -prune \
            -o -printf '%p %u:%g %m %T@ %s\n' | sort
        ls -ld /var/meltano/project/.meltano/run/* | grep -v last-request | awk '{print $1, $3, $4, $NF}'
        systemctl show -p ActiveEnterTimestampMonotonic -p StateChangeTimestampMonotonic meltano caddy vsftpd ssh
        SH
}

sub changed {
    my ($before, $after) = map { my %lines = map { $_ => 1 } split /\n/; \%lines } @_;
    return join "\n", (map { "-$_" } grep { !$after->{$_} } sort keys %$before),
        map { "+$_" } grep { !$before->{$_} } sort keys %$after;
}

sub wait_until_it_serves {
    my $end = time + 30;
    while (time < $end) {
        return if shell('curl -s -o /dev/null -m 5 -w "%{http_code}" http://localhost:5000/') eq '302';
        sleep 0.1;
    }
    BAIL_OUT 'the instance does not serve again: ' . triage()->{stdout};
}

# One fault: cause, what mends it, and what the evidence shows.
sub fault {
    my ($what, $make, $cause, $mend, $evidence, $unmake) = @_;
    subtest $what => sub {
        $make->();
        my $before = fingerprint();
        my $run = triage('--report', "$scratch/$cause.html");
        is $run->{status}, 0, 'the triage ends well' or diag $run->{stderr};
        my ($verdict) = $run->{stdout} =~ /^(\S+ say +verdict, .*)/ms;
        like $verdict, qr/verdict, \Q$cause\E:/, 'the verdict' or diag $run->{stdout};
        like $verdict, $evidence, 'the evidence';
        like $verdict, qr/mend it: hostler run \Q$mend\E$/m, 'what mends it' if $mend;
        is changed($before, fingerprint()), '', 'nothing on the instance changed';
        $unmake->();
        wait_until_it_serves();
    };
}

sub service { my @verbs = @_; return sub { inside('systemctl', @verbs) } }
sub both    { my @subs = @_; return sub { $_->() for @subs } }

subtest 'nothing is wrong' => sub {
    my $before = fingerprint();
    my $run = triage();
    is $run->{status}, 0, 'it ends well' or diag $run->{stderr};
    like $run->{stdout}, qr/verdict, healthy:/, 'and says so' or diag $run->{stdout};
    # The kernel is one for all droplets of this machine, and may have killed another's.
    unlike $run->{stdout}, qr/say +(BAD|odd|\?) ++(?!memory)/, 'no line is bad' or diag $run->{stdout};
    is changed($before, fingerprint()), '', 'nothing on the instance changed';
};

# What the verdict names is run, where it is one of these playbooks.
sub mend {
    my @command = @_;
    return sub {
        my $run = $cloud->run({}, 'run', @command, $tenant, '--yes');
        is $run->{status}, 0, "`hostler run @command` mends it" or diag $run->{stdout}, $run->{stderr};
    };
}

fault 'the service is down', service('stop', 'meltano'), 'service-down', "restart $tenant",
    qr/meltano\.service is inactive/, mend('restart');

fault 'it hangs', service('kill', '-s', 'STOP', 'meltano'), 'hanging', "restart $tenant",
    qr/no answer within 10 s.*its main process is stopped/s, service('kill', '-s', 'CONT', 'meltano');

sub trust {
    my @rules = map { { type => 'ip_addr', value => $_ } } @_;
    my ($status, $body) = $cloud->request(method => 'PUT', json => { rules => \@rules },
        url => "$cloud->{env}{DIGITALOCEAN_API_URL}/v2/databases/$cluster->{id}/firewall",
        headers => ["Authorization: Bearer $cluster->{token}"]);
    $status < 300 or die "$status $body";
}
fault 'the database does not trust it', sub { trust('198.18.191.250') }, 'database-untrusted', "configure-meltano $tenant",
    qr/no pg_hba\.conf entry.*trusts 198\.18\.191\.250; the droplet has \Q$droplet->{public}\E/s,
    mend('configure-meltano');

sub password {
    my ($password) = @_;
    $cloud->script('database', 'psql', $cluster->{connection}{database}, '-qc',
        "ALTER ROLE \"$cluster->{connection}{user}\" PASSWORD '$password'");
}
fault 'its password is not the database\'s', sub { password('another') }, 'database-password',
    "configure-meltano $tenant", qr/password authentication failed/, sub { password($cluster->{connection}{password}) };

fault 'the settings are gone', both(sub { shell('mv /etc/meltano/environment.d/postgres /root/') }, service('restart', 'meltano')),
    'settings-missing', "configure-meltano $tenant", qr{there is no /etc/meltano/environment\.d/postgres},
    both(mend('configure-meltano'), sub { shell('rm /root/postgres') });

fault 'files of root', sub { shell("chown root:root $project/.meltano/run; chmod 700 $project/.meltano/run") },
    'wrong-owner', "upgrade $tenant --mend", qr{\Q$project\E/\.meltano/run belongs to root},
    mend('upgrade', '--mend');

fault 'a broken .env', sub { shell("cp -p $project/.env /root/; echo \"MELTANO_READONLY='true\" >>$project/.env") },
    'flags-broken', "repair-env $tenant", qr/\.env, line \d+: the quote is not closed/,
    both(mend('repair-env'), sub { shell("cp -p /root/.env $project/.env; rm /root/.env") });

fault 'a full disk', sub {
    $cloud->script('droplet', 'disk', $droplet->{id}, '8M');
    shell("dd if=/dev/zero bs=1M count=20 >>$project/.meltano/run/meltano-ui.log 2>/dev/null; sync");
}, 'disk-full', "free-disk $tenant", qr{the disk of / is full.*100% used}s, sub {
    mend('free-disk')->();
    ok shell("stat -c %s $project/.meltano/run/meltano-ui.log") <= 1024 * 1024, 'of a log the end stays';
    $cloud->script('droplet', 'disk', $droplet->{id}, '2G');
};

# The kernel's own kill: Meltano in a memory group with little room is sent more than fits.
sub memory_group { return "/sys/fs/cgroup/memory/hostler-$ENV{HOSTLER_CLOUD}-$droplet->{id}-oom" }
SKIP: {
    skip 'the kernel has no memory groups of version 1', 1 if !-d '/sys/fs/cgroup/memory';
    fault 'out of memory', sub {
        mkdir memory_group();
        my ($processes) = glob "/sys/fs/cgroup/{unified,systemd}/hostler-$ENV{HOSTLER_CLOUD}-$droplet->{id}"
            . '/payload/system.slice/meltano.service/cgroup.procs';
        for ([ 'memory.limit_in_bytes', '2M' ], [ 'cgroup.procs', Cloud::read_file($processes) =~ /^(\d+)/ ]) {
            open my $file, '>', memory_group() . "/$_->[0]" or die $!;
            print $file $_->[1];
            close $file or die "$_->[0]: $!";
        }
        shell('head -c 30000000 /dev/zero | curl -s -m 10 -o /dev/null --data-binary @- http://localhost:5000/auth/login');
        my $end = time + 5; # what was killed leaves the group a moment later
        sleep 0.05 until rmdir memory_group() or time > $end;
    }, 'out-of-memory', "restart $tenant", qr/Memory cgroup out of memory: Killed process \d+ \(meltano\)/,
        mend('restart');
}

fault 'Meltano itself fails', sub { shell("mv $project/meltano.yml $project/meltano.yaml") }, 'application',
    "upgrade $tenant", qr/GET \/ answers 500.*FileNotFoundError/s, sub { shell("mv $project/meltano.yaml $project/meltano.yml") };

fault 'Caddy is down', service('stop', 'caddy'), 'caddy-down', "caddy-tls $tenant", qr/caddy\.service is inactive/,
    service('start', 'caddy');

fault 'the certificate has expired', sub {
    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj '/CN=$name' "
        . "-addext 'subjectAltName=DNS:$name' -keyout $scratch/key.pem -out $scratch/request.pem -days 1 2>/dev/null") == 0 or die;
    # `openssl req` cannot make one that is over; `openssl ca` can.
    system("cd $scratch && : >index.txt && echo 01 >serial && printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\n"
        . "new_certs_dir=.\npolicy=p\ndefault_md=sha256\ncopy_extensions=copy\n[p]\ncommonName=supplied\n' >ca.conf && "
        . "openssl req -new -key key.pem -subj '/CN=$name' -addext 'subjectAltName=DNS:$name' -out new.csr 2>/dev/null && "
        . "openssl ca -batch -config ca.conf -selfsign -keyfile key.pem -in new.csr -out old.pem -notext "
        . "-startdate 20200101000000Z -enddate 20200201000000Z 2>/dev/null") == 0 or die 'openssl ca';
    for (qw(old.pem key.pem)) {
        open my $pipe, '|-', 'tests/cloud/droplet', 'exec', $droplet->{id}, 'sh', '-c', "cat >/etc/caddy/$_" or die $!;
        print $pipe Cloud::read_file("$scratch/$_");
        close $pipe;
    }
    shell('chown www-data /etc/caddy/old.pem /etc/caddy/key.pem; cp -p /etc/caddy/Caddyfile /root/; sed -i "/^[[:space:]]*tls /,/^[[:space:]]*}/d" /etc/caddy/Caddyfile;'
        . 'sed -i "s|^\(.*HOSTNAME.*{\)$|\1\n\ttls /etc/caddy/old.pem /etc/caddy/key.pem|" /etc/caddy/Caddyfile; systemctl restart caddy');
}, 'certificate-expired', "caddy-tls $tenant", qr/good until 2020-02-01/, sub {
    shell('cp -p /root/Caddyfile /etc/caddy/; rm /root/Caddyfile /etc/caddy/old.pem /etc/caddy/key.pem; systemctl restart caddy');
};

fault 'the name leads elsewhere', sub { $cloud->script('dns', 'set', $name, '198.18.191.250') }, 'dns', undef,
    qr/resolves to 198\.18\.191\.250; the droplet has \Q$droplet->{public}\E/,
    sub { $cloud->script('dns', 'set', $name, $droplet->{public}) };

fault 'no SSH', service('stop', 'ssh'), 'unreachable', undef, qr/by hand:.*console/, service('start', 'ssh');

subtest 'the report' => sub {
    my ($secret) = shell('cat /etc/meltano/environment.d/postgres') =~ /^PG_PASSWORD=(\S+)/m;
    my $log = "[2026-11-22 01:00:00,000] [1] [ERROR] Exception on /<script>alert(1)</script> [GET]\n"
        . "Traceback (most recent call last):\n  File \"/x.py\", line 3, in <module>\n"
        . "ValueError: $secret and postgresql://etl:hunter2hunter2\@db/x & API_TOKEN=tok3n-of-a-customer \"quoted\"\n";
    open my $pipe, '|-', 'tests/cloud/droplet', 'exec', $droplet->{id}, 'sh', '-c', "cat >>$project/.meltano/run/meltano-ui.log" or die $!;
    print $pipe $log;
    close $pipe;
    inside('systemctl', 'stop', 'meltano');
    my $file = "$scratch/report & more.html";
    my $run = triage('--report', $file);
    is $run->{status}, 0, 'is written' or diag $run->{stderr};
    my $page = Cloud::read_file($file);
    like $page, qr/^<!doctype html>.*<\/html>\n\z/s, 'whole';
    like $page, qr/Meltano does not run\./, 'has the verdict';
    like $page, qr/<code>hostler run restart \Q$tenant\E<\/code>/, 'and what mends it';
    like $page, qr/ValueError:/, 'and the traceback';
    like $page, qr/&lt;script&gt;alert\(1\)&lt;\/script&gt;/, 'which is text';
    unlike $page, qr/<script|https?:\/\/[^\s<]*\.(js|css)|src=|<link/, 'no script, nothing loaded';
    for my $hidden ($secret, 'hunter2hunter2', 'tok3n-of-a-customer') {
        unlike $page, qr/\Q$hidden\E/, 'no secret in the page';
        unlike "$run->{stdout}$run->{stderr}", qr/\Q$hidden\E/, 'nor on the terminal';
    }
    $run = triage('--report', "$scratch/no/such/folder.html");
    is $run->{status}, 1, 'where it cannot be written';
    like $run->{stdout}, qr/verdict, service-down/, 'the verdict was shown all the same';
    inside('systemctl', 'start', 'meltano');
};

subtest 'tenants that are not there' => sub {
    my $run = $cloud->run({}, 'run', 'triage-500', 'nobody');
    is $run->{status}, 1, 'fails';
    like $run->{stderr}, qr/there is no droplet nobody\.meltanodata\.com/, 'and says why';
};

done_testing;
