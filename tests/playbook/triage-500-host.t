#!/usr/bin/perl
# What around Meltano keeps it from serving, made for real: its port, its file systems, what its unit and its host grant
# it. A restart is proposed only where one helps.
use strict;
use warnings;
use Test::More;
use Triage;

my $on      = Triage->new('surrounded');
my $project = '/var/meltano/project';
my $run     = "$project/.meltano/run";
my $restart = 'systemctl reset-failed meltano; systemctl restart meltano 2>/dev/null'; # however often it was started just now

sub shell { my @words = @_; return sub { $on->shell(@words) } }
sub unit  { my ($text) = @_; return sub { $on->drop_in($text) } }

# ---- its port ----

my $serve = '/usr/bin/python3 -m http.server --bind 127.0.0.1 5000';
$on->fault('another service has its port', make => sub {
    $on->shell("systemctl stop meltano; systemd-run --quiet --unit=report --working-directory=/srv $serve");
    $on->wait_inside('ss -Hltn "sport = :5000" | grep -q .');
    $on->shell($restart);
}, cause => 'port-taken', evidence => qr{port 5000 of 127\.0\.0\.1: python3, process \d+ of root in report\.service: /usr/bin/python3},
    by_hand => qr/systemctl disable --now report\.service/, obey => 1);

$on->fault('a Meltano that was started by hand has its port', make => sub {
    $on->shell('systemctl stop meltano; systemd-run --quiet --scope --uid=meltano --working-directory=' . $project
        . ' env $(cat /etc/meltano/environment.d/postgres) /var/meltano/.venv/bin/meltano ui >/dev/null 2>&1 & echo');
    $on->wait_inside('ss -Hltn "sport = :5000" | grep -q .');
    $on->shell($restart);
}, cause => 'port-taken', evidence => qr{a Meltano that somebody started by hand.*of meltano in run-\S+\.scope}s, by_hand => qr/kill \d+/, obey => 1);

$on->fault('its port was taken when it started', make => sub {
    $on->shell("systemctl stop meltano; systemd-run --quiet --unit=report $serve");
    $on->wait_inside('ss -Hltn "sport = :5000" | grep -q .');
    $on->shell("$restart");
    $on->wait_inside('systemctl is-failed meltano');
    $on->shell('systemctl stop report');
}, cause => 'port-was-taken', evidence => qr/Can't connect to|Connection in use/, mend => 'restart surrounded');

$on->fault('it listens at another port', make => sub {
    $on->shell("cp -p /var/meltano/.venv/bin/meltano /root/; sed -i 's/(\"localhost\", 5000)/(\"localhost\", 5001)/' /var/meltano/.venv/bin/meltano; $restart");
    $on->wait_inside('ss -Hltn "sport = :5001" | grep -q .');
}, cause => 'other-port', evidence => qr/port 5001 of 127\.0\.0\.1/, by_hand => qr/MELTANO_UI_BIND_PORT/, after => shell('mv /root/meltano /var/meltano/.venv/bin/'));

$on->fault('no localhost', make => shell("cp /etc/hosts /root/; sed -i '/localhost/d' /etc/hosts; $restart"), cause => 'localhost-unknown',
    by_hand => qr/127\.0\.0\.1 localhost/, after => shell('cat /root/hosts >/etc/hosts'));

$on->fault('no loopback', make => shell("ip link set lo down; $restart"), cause => 'loopback-down', obey => 1);

# ---- its file systems ----

$on->fault('a log folder on a file system that is read-only', make => shell("mount -t tmpfs -o size=1M,uid=\$(id -u meltano),gid=\$(id -g meltano) volume $run; "
        . "mount -o remount,ro $run; $restart"), cause => 'read-only', evidence => qr{lies on \Q$run\E \(tmpfs of volume\), which is read-only},
    by_hand => qr/mount -o remount,rw/, after => shell("umount $run"));

$on->fault('a log folder that has no inodes left', make => shell("mount -t tmpfs -o size=1M,nr_inodes=2,uid=\$(id -u meltano),gid=\$(id -g meltano) volume $run; "
        . "su -s /bin/sh meltano -c 'touch $run/1' ; $restart"), cause => 'disk-full', evidence => qr{\Q$run\E: 100% of the inodes are used},
    by_hand => qr/du -x --inodes/, after => shell("umount $run"));

$on->fault('a full volume below the project', make => shell("mount -t tmpfs -o size=64k,uid=\$(id -u meltano),gid=\$(id -g meltano) volume $project/extract; "
        . "head -c 65536 /dev/zero >$project/extract/x; chown meltano: $project/extract/x"), cause => 'disk-full', evidence => qr{\Q$project\E/extract: 100% used},
    by_hand => qr/du -x \S+extract/, after => shell("umount $project/extract"));

# ---- what its unit grants it ----

$on->fault('its unit makes the file system read-only', make => unit("[Service]\nExecStartPre=\nProtectSystem=strict"), cause => 'read-only',
    evidence => qr/ProtectSystem is strict/, by_hand => qr/ReadWritePaths=/, after => unit(''));

$on->fault('its unit gives it a network of its own', make => unit("[Service]\nExecStartPre=\nPrivateNetwork=yes"), cause => 'own-network',
    evidence => qr/PrivateNetwork is yes/, by_hand => qr/take PrivateNetwork= out/, after => unit(''));

$on->fault('its unit allows no sockets of the internet', make => unit("[Service]\nExecStartPre=\nRestrictAddressFamilies=AF_UNIX"), cause => 'address-family',
    by_hand => qr/RestrictAddressFamilies=/, after => unit(''));

$on->fault('it has no file descriptors left', make => sub {
    $on->drop_in("[Service]\nLimitNOFILE=16");
    $on->wait_inside('ss -Hltn "sport = :5000" | grep -q .');
    $on->shell('systemd-run --quiet --unit=idle /usr/bin/python3 -c "import socket,time; s=[socket.create_connection((\"127.0.0.1\",5000)) for i in range(20)]; time.sleep(600)"');
    $on->wait_inside('[ $(ls /proc/$(systemctl show -p MainPID --value meltano)/fd | wc -l) -ge 16 ]');
}, cause => 'too-many-open-files', evidence => qr/16 files and connections open, of 16/, mend => 'restart surrounded', not_followed => 1,
    by_hand => qr/LimitNOFILE=/, after => sub { $on->shell('systemctl stop idle'); $on->drop_in('') });

$on->fault('it may start no thread', make => unit("[Service]\nLimitNPROC=1"), cause => 'too-many-processes', by_hand => qr/TasksMax/, after => unit(''));

$on->fault('it does not start in time', make => sub {
    $on->drop_in("[Service]\nExecStartPre=/bin/sleep 60\nTimeoutStartSec=1");
}, cause => 'start-timeout', evidence => qr/timed out/, by_hand => qr/how far it came/, after => unit(''));

$on->fault('it crashes', make => shell('systemctl kill -s SEGV meltano'), cause => 'crashed', evidence => qr/SIGSEGV/, mend => 'restart surrounded');

my $caddy = '/etc/systemd/system/caddy.service.d';
$on->fault('Caddy, which systemd cannot start', make => shell("mkdir -p $caddy; printf '[Service]\\nUser=c4ddy\\n' >$caddy/fault.conf; systemctl daemon-reload; systemctl restart caddy"),
    cause => 'caddy-down', evidence => qr{could not become the user of Caddy's service.*217/USER}s, by_hand => qr/look at User=/,
    after => shell("rm -r $caddy; systemctl daemon-reload; systemctl restart caddy"));

subtest 'what will break it later' => sub {
    $on->shell('systemctl disable meltano');
    like $on->triage->{stdout}, qr/also noticed: meltano\.service is not enabled.*verdict, healthy/s, 'a unit that is not enabled';
    $on->shell('systemctl enable meltano; touch /etc/systemd/system/meltano.service');
    like $on->triage->{stdout}, qr/also noticed: the unit file was changed.*verdict, healthy/s, 'a unit file that was changed';
    $on->shell('systemctl daemon-reload');
};

$on->nothing_is_wrong;
done_testing;
