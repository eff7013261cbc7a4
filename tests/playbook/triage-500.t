#!/usr/bin/perl
# Every fault that the handbook's 500 has had, made for real on one instance after the other: the verdict names the cause,
# shows the evidence and the playbook that mends it; and looking changes nothing.
use strict;
use warnings;
use Cloud;
use File::Temp qw(tempdir);
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(sleep time);

my $cloud  = Cloud->connect;
my $tenant = 'triage';
my $name   = "$tenant.meltanodata.com";
my $made   = $cloud->setup($tenant);
is $made->{status}, 0, 'an instance' or die $made->{stderr};
my $droplet = $cloud->droplet($tenant);
my $cluster = $cloud->cluster($tenant);
my $project = '/var/meltano/project';
my $program = '/var/meltano/.venv/bin/meltano';
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
        find /tmp -printf '%p %u:%g %m %s %l\n' | sort
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
    die 'the instance does not serve again: ' . triage()->{stdout};
}

# Does what a verdict says, to the letter, and agrees when asked.
sub follow {
    my ($command) = @_;
    my $run = $cloud->run({ timeout => 120 }, split ' ', $command);
    if ($run->{status} == 3) {
        my ($answer) = $run->{stderr} =~ /hostler answer (\w+) VALUE/ or die $run->{stderr};
        $run = $cloud->run({ timeout => 120 }, 'answer', $answer, 'yes');
    }
    is $run->{status}, 0, "`hostler $command` ends well" or diag $run->{stdout}, $run->{stderr};
}

# One fault: how it is made, the cause that is found, what mends it (a playbook, or what a person reads), what the
# evidence shows. What is named is done, and then nothing may be wrong any more. `after` is for what a person does.
sub fault {
    my ($what, %fault) = @_;
    subtest $what => sub {
        $fault{make}->();
        my ($before, $mark) = (fingerprint(), $cloud->mark);
        my $run = triage('--report', "$scratch/report.html");
        is $run->{status}, 0, 'the triage ends well' or diag $run->{stderr};
        my ($verdict) = $run->{stdout} =~ /^(\S+ say +verdict, .*)/ms;
        like $verdict, qr/verdict, \Q$fault{cause}\E:/, 'the verdict' or diag $run->{stdout};
        like $verdict, $fault{evidence}, 'the evidence';
        is changed($before, fingerprint()), '', 'nothing on the instance changed';
        is scalar($cloud->writes($mark)), 0, 'nor in the APIs';
        my ($mend) = $verdict =~ /mend it: hostler (.*)$/m;
        if ($fault{mend}) {
            is $mend, "run $fault{mend}", 'what mends it' or return;
            follow($mend);
        }
        else {
            is $mend, undef, 'no playbook mends it';
            like $verdict, $fault{by_hand}, 'but it says what a person does';
        }
        $fault{after}->() if $fault{after};
        wait_until_it_serves();
        like triage()->{stdout}, qr/verdict, healthy:/, 'then nothing is wrong any more';
        $fault{clean}->() if $fault{clean};
    };
}

sub service { my @verbs = @_; return sub { inside('systemctl', @verbs) } }

subtest 'nothing is wrong' => sub {
    my $before = fingerprint();
    my $run = triage();
    is $run->{status}, 0, 'it ends well' or diag $run->{stderr};
    like $run->{stdout}, qr/verdict, healthy:/, 'and says so' or diag $run->{stdout};
    unlike $run->{stdout}, qr/say +(BAD|odd|\?) /, 'no line is bad' or diag $run->{stdout};
    is changed($before, fingerprint()), '', 'nothing on the instance changed';
};

fault 'the service is down', make => service('stop', 'meltano'), cause => 'service-down', mend => "restart $tenant",
    evidence => qr/meltano\.service is inactive/;

fault 'the service has failed', make => service('kill', '-s', 'KILL', 'meltano'), cause => 'service-down',
    mend => "restart $tenant", evidence => qr/meltano\.service is failed \(killed by signal 9\).*the host is a container/s;

fault 'it hangs', make => service('kill', '-s', 'STOP', 'meltano'), cause => 'hanging', mend => "restart $tenant",
    evidence => qr/no answer within 10 s.*its main process is stopped/s;

sub trust {
    my @rules = map { { type => 'ip_addr', value => $_ } } @_;
    my ($status, $body) = $cloud->request(method => 'PUT', json => { rules => \@rules },
        url => "$cloud->{env}{DIGITALOCEAN_API_URL}/v2/databases/$cluster->{id}/firewall",
        headers => ["Authorization: Bearer $cluster->{token}"]);
    $status < 300 or die "$status $body";
}
fault 'the database does not trust it', make => sub { trust('198.18.191.250') }, cause => 'database-untrusted',
    mend => "configure-meltano $tenant",
    evidence => qr/no pg_hba\.conf entry.*trusts 198\.18\.191\.250; the droplet has \Q$droplet->{public}\E/s;

my $settings = '/etc/meltano/environment.d/postgres';
fault 'another password in the settings', make => sub {
    shell("sed -i 's/^PG_PASSWORD=.*/PG_PASSWORD=of-last-year/' $settings; systemctl reset-failed meltano; systemctl restart meltano 2>/dev/null");
}, cause => 'database-password', mend => "configure-meltano $tenant", evidence => qr/password authentication failed/;

sub password {
    my ($password) = @_;
    $cloud->script('database', 'psql', $cluster->{connection}{database}, '-qc',
        "ALTER ROLE \"$cluster->{connection}{user}\" PASSWORD '$password'");
}
fault 'another password in the database', make => sub { password('another') }, cause => 'database-password',
    by_hand => qr/by hand: reset the password of \Q$cluster->{connection}{user}\E .*configure-meltano $tenant$/m,
    evidence => qr/DigitalOcean tells this very password/, after => sub { password($cluster->{connection}{password}) };

fault 'the settings are gone', make => sub { shell("rm $settings; systemctl reset-failed meltano; systemctl restart meltano 2>/dev/null") },
    cause => 'settings-missing', mend => "configure-meltano $tenant", evidence => qr/there is no \Q$settings\E/;

fault 'files of root', make => sub { shell("chown root:root $project/.meltano/run; chmod 700 $project/.meltano/run") },
    cause => 'wrong-owner', mend => "upgrade $tenant --mend", evidence => qr{\Q$project\E/\.meltano/run belongs to root};

fault 'an upgrade as root', make => sub {
    shell("cd $project && rm -f .meltano/run/meltano-ui.log && umask 077 && touch .meltano/run/meltano-ui.log"
        . ' && /var/meltano/.venv/bin/meltano upgrade >/dev/null; systemctl reset-failed meltano; systemctl restart meltano 2>/dev/null; sleep 1');
}, cause => 'wrong-owner', mend => "upgrade $tenant --mend", evidence => qr{meltano-ui\.log belongs to root};

fault 'a broken .env', make => sub { shell("cp -p $project/.env /root/; echo \"MELTANO_READONLY='true\" >>$project/.env") },
    cause => 'flags-broken', mend => "repair-env $tenant", evidence => qr/\.env, line \d+: the quote is not closed/,
    clean => sub { shell("cp -p /root/.env $project/.env; rm /root/.env") };

fault 'a full disk', make => sub {
    $cloud->script('droplet', 'disk', $droplet->{id}, '8M');
    shell("dd if=/dev/zero bs=1M count=20 >>$project/.meltano/run/meltano-ui.log 2>/dev/null; sync");
}, cause => 'disk-full', mend => "free-disk $tenant", evidence => qr{the disk of / is full.*100% used}s,
    after => sub {
        ok shell("stat -c %s $project/.meltano/run/meltano-ui.log") <= 1024 * 1024, 'of a log the end stays';
    }, clean => sub { $cloud->script('droplet', 'disk', $droplet->{id}, '2G') };

# More than Meltano may have.
sub overfill { shell('head -c 60000000 /dev/zero | curl -s -m 10 -o /dev/null --data-binary @- http://localhost:5000/auth/login; sleep 0.2') }

# The kernel's own kill: Meltano is put into a memory group with little room.
sub memory_group { return "/sys/fs/cgroup/memory/hostler-$ENV{HOSTLER_CLOUD}-$droplet->{id}-oom" }
sub starve {
    mkdir memory_group();
    my ($processes) = glob "/sys/fs/cgroup/{unified,systemd}/hostler-$ENV{HOSTLER_CLOUD}-$droplet->{id}"
        . '/payload/system.slice/meltano.service/cgroup.procs';
    for ([ 'memory.limit_in_bytes', '2M' ], [ 'cgroup.procs', Cloud::read_file($processes) =~ /^(\d+)/ ]) {
        open my $file, '>', memory_group() . "/$_->[0]" or die $!;
        print $file $_->[1];
        close $file or die "$_->[0]: $!";
    }
    overfill();
    my $end = time + 5; # what was killed leaves the group a moment later
    sleep 0.05 until rmdir memory_group() or time > $end;
}
SKIP: {
    skip 'the kernel has no memory groups of version 1', 2 if !-d '/sys/fs/cgroup/memory';
    fault 'out of memory, where the kernel and its log are those of many', make => \&starve, cause => 'service-down',
        mend => "restart $tenant", evidence => qr/the host is a container \(systemd-nspawn\), which cannot tell/;
    # As on a droplet of the world, which is a machine of its own: what tells that it is none says nothing.
    shell('mount --bind /bin/false /usr/bin/systemd-detect-virt');
    fault 'out of memory', make => \&starve, cause => 'out-of-memory', mend => "restart $tenant",
        evidence => qr/Memory cgroup out of memory: Killed process \d+ \(meltano\)/;
}

# systemd's limit, where the droplet's systemd can set one.
shell('mount -o remount,bind,rw /sys/fs/cgroup/memory 2>/dev/null && systemctl daemon-reexec; systemctl set-property --runtime meltano MemoryMax=48M');
SKIP: {
    my $in_force = shell('cat /sys/fs/cgroup/memory/system.slice/meltano.service/memory.limit_in_bytes'
        . ' /sys/fs/cgroup/system.slice/meltano.service/memory.max 2>/dev/null') =~ /^50331648$/m;
    skip 'the droplets of this machine cannot limit memory', 1 if !$in_force;
    fault 'more memory than systemd allows', make => \&overfill, cause => 'out-of-memory', mend => "restart $tenant",
        evidence => qr/out of memory: Killed process \d+ \(meltano\).*systemd lets meltano\.service have 48 MB/s,
        clean => sub { shell('systemctl set-property --runtime meltano MemoryMax=infinity') };
}
shell('umount /usr/bin/systemd-detect-virt 2>/dev/null');

fault 'Meltano itself fails', make => sub {
    shell("cp -p $program /root/; sed -i 's/^    def get(self.*/&\\n        raise ArithmeticError(\"of no known kind\")/' $program; systemctl restart meltano");
}, cause => 'application', by_hand => qr/by hand: read the traceback/, evidence => qr/GET \/ answers 500.*ArithmeticError/s,
    after => sub { shell("mv /root/meltano $program; systemctl restart meltano") };

fault 'Caddy is down', make => service('stop', 'caddy'), cause => 'caddy-down', mend => "caddy-tls $tenant",
    evidence => qr/caddy\.service is inactive/;

# A certificate that is over, and its key, on the droplet: `openssl req` cannot make one, `openssl ca` can. Caddy throws
# away what has been over for weeks.
my ($yesterday, $until) = map { strftime($_, gmtime(time - 86400)) } '%Y%m%d%H%M%SZ', '%Y-%m-%d';
sub expired {
    my ($certificate, $key) = @_;
    system("cd $scratch && : >index.txt && echo 01 >serial && printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\n"
        . "new_certs_dir=.\npolicy=p\ndefault_md=sha256\ncopy_extensions=copy\n[p]\ncommonName=supplied\n' >ca.conf && "
        . "openssl ecparam -name prime256v1 -genkey -noout -out key.pem && "
        . "openssl req -new -key key.pem -subj '/CN=$name' -addext 'subjectAltName=DNS:$name' -out new.csr 2>/dev/null && "
        . "openssl ca -batch -config ca.conf -selfsign -keyfile key.pem -in new.csr -out old.pem -notext "
        . "-startdate 20200101000000Z -enddate $yesterday 2>/dev/null") == 0 or die 'openssl ca';
    for ([ 'old.pem', $certificate ], [ 'key.pem', $key ]) {
        my ($from, $to) = @$_;
        open my $pipe, '|-', 'tests/cloud/droplet', 'exec', $droplet->{id}, 'sh', '-c', "cat >$to; chown www-data $to" or die $!;
        print $pipe Cloud::read_file("$scratch/$from");
        close $pipe or die $to;
    }
}

fault 'the certificate has expired, and the authority gives no other', make => sub {
    $cloud->script('acme', 'limit', 'on', '--retry-after', 7200);
    inside('systemctl', 'stop', 'caddy');
    my ($stored) = split /\n/, shell("ls /var/lib/caddy/.local/share/caddy/certificates/*/$name/$name.crt");
    expired($stored, $stored =~ s/crt$/key/r);
    inside('systemctl', 'start', 'caddy');
}, cause => 'certificate-expired', mend => "caddy-tls $tenant", evidence => qr/good until $until.*rateLimited/s, clean => sub {
    $cloud->script('acme', 'limit', 'off');
    shell('rm -r /var/lib/caddy/.local/share/caddy/certificates/*/' . $name);
    follow("run caddy-tls $tenant --acme");
};

fault 'a certificate of its own has expired', make => sub {
    expired('/etc/caddy/old.pem', '/etc/caddy/key.pem');
    shell('cp -p /etc/caddy/Caddyfile /root/; sed -i "/^[[:space:]]*tls /,/^[[:space:]]*}/d" /etc/caddy/Caddyfile;'
        . 'sed -i "s|^\(.*HOSTNAME.*{\)$|\1\n\ttls /etc/caddy/old.pem /etc/caddy/key.pem|" /etc/caddy/Caddyfile; systemctl restart caddy');
}, cause => 'certificate-expired', mend => "caddy-tls $tenant --acme", evidence => qr/good until $until/, clean => sub {
    shell('cp -p /root/Caddyfile /etc/caddy/; rm /root/Caddyfile /etc/caddy/old.pem /etc/caddy/key.pem; systemctl restart caddy');
};

fault 'a Caddyfile with a mistake', make => sub {
    shell('cp -p /etc/caddy/Caddyfile /root/; echo "nonsense {" >>/etc/caddy/Caddyfile; systemctl restart caddy 2>/dev/null');
}, cause => 'caddy-down', by_hand => qr/mend \S+Caddyfile on \Q$name\E;.* then: hostler run caddy-tls $tenant$/m,
    evidence => qr/Caddy does not take its Caddyfile/,
    after => sub { shell('mv /root/Caddyfile /etc/caddy/'); follow("run caddy-tls $tenant") };

fault 'the name leads elsewhere', make => sub { $cloud->script('dns', 'set', $name, '198.18.191.250') }, cause => 'dns',
    by_hand => qr/by hand: point the A record $tenant of the domain to \Q$droplet->{public}\E/,
    evidence => qr/resolves to 198\.18\.191\.250; the droplet has \Q$droplet->{public}\E/,
    after => sub { $cloud->script('dns', 'set', $name, $droplet->{public}) };

fault 'no SSH', make => service('stop', 'ssh'), cause => 'unreachable', by_hand => qr/by hand:.*console/, evidence => qr/refused/,
    after => service('start', 'ssh');

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
