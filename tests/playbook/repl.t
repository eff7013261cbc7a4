#!/usr/bin/perl
# The prompt at work on a real instance: connecting by name, asking its services, writing, what Tab knows of it, and the
# playbook that comes of it.
use strict;
use warnings;
use Cloud;
use Cwd qw(abs_path);
use Droplets;
use File::Temp qw(tempdir);
use Terminal;
use Test::More;

my $cloud   = Cloud->connect;
my $droplet = new_droplet($cloud, 'acme');
my $folder  = tempdir(CLEANUP => 1);
my $hostler = abs_path(($ENV{HOSTLER_BUILD} // 'build') . '/hostler');

# What a script of these lines gives.
sub script {
    my ($lines, @arguments) = @_;
    return $cloud->run({ stdin => "$lines\n", env => { XDG_CONFIG_HOME => "$folder/config" } }, 'repl', @arguments);
}

subtest 'a script' => sub {
    my $run = script('acme = instance "acme"' . "\nacme.host:run({ 'uptime' }, { read = true }).stdout\nacme.systemd:failed()");
    is $run->{status}, 0, 'it ends well' or diag $run->{stderr};
    like $run->{stdout}, qr/load average/, 'what the instance says';
    like $run->{stdout}, qr/^(?:\{\}|unit .*\n.*\(\d+ rows?)/m, 'its failed units';
    $run = script('acme = instance "acme"' . "\nacme.host:run { 'uptime' }");
    is $run->{status}, 1, 'a command that may write is refused';
    like $run->{stderr}, qr/only reads.*:write on/s, 'with what to type';
    $run = script('instance("acme").systemd:status("caddy").active, instance("acme").meltano:version()');
    like $run->{stdout}, qr/^"active"\n"1\.105\.0"$/m, 'all its services' or diag $run->{stderr};
};

my $settings = join ' ', map { "$_='$cloud->{env}{$_}'" } grep { $cloud->{env}{$_} !~ /'/ } sort keys %{ $cloud->{env} };
my $terminal = Terminal->new(110, 30, "env $settings NO_COLOR=1 XDG_STATE_HOME=$folder/state XDG_CONFIG_HOME=$folder/config $hostler repl");
sub line { $terminal->type($_[0]); $terminal->keys('Enter') }
sub see { $terminal->see(@_) }

subtest 'a session' => sub {
    like see(qr/open>/), qr/^meltanodata\.com read-only, 0 open> $|^meltanodata\.com read-only, 0 open>$/m, 'the prompt';
    $terminal->type('acme = instance "ac');
    $terminal->keys('Tab');
    like see(qr/"acme/), qr/instance "acme$/m, 'names of instances are completed';
    line('"');
    line('acme.host:run({ "hostname" }, { read = true }).stdout');
    my $text = see(qr/1 open>/);
    like $text, qr/^"acme(?:\.meltanodata\.com)?\\n"$/m, 'a command' or diag $text;
    like $text, qr/^meltanodata\.com read-only, 1 open>/m, 'the prompt shows that a connection is open';
    $terminal->type('acme.sys');
    $terminal->keys('Tab');
    like see(qr/acme\.systemd/), qr/open> acme\.systemd$/m, 'a part that is not made yet is completed';
    line(':failed()');
    line('acme.systemd:status "caddy"');
    like see(qr/sub = "running"/), qr/sub = "running"/, 'a service';
    $terminal->type('acme.systemd:restart "cad');
    $terminal->keys('Tab');
    like see(qr/restart "caddy/), qr/acme\.systemd:restart "caddy\.service$/m, 'units of the host are completed';
    $terminal->keys('C-c');
    $terminal->type('acme.host:read "/etc/caddy/Cad');
    $terminal->keys('Tab');
    like see(qr/read "\/etc\/caddy\/Caddyfile/), qr{acme\.host:read "/etc/caddy/Caddyfile$}m, 'and paths on it';
    line('"');
    see(qr/\]\]/);
    $terminal->type('acme.host:read "/etc/sys');
    $terminal->keys('Tab');
    like see(qr{^/etc/sysctl}m), qr{/etc/systemd/}, 'of several, what they are';
    $terminal->keys('C-c');
    line('acme.host:run({ "sleep", "100" }, { read = true })');
    select undef, undef, undef, 0.5;
    $terminal->keys('C-c');
    like see(qr/^cancelled$/m), qr/^cancelled$/m, 'Ctrl-C ends a command';
    line('acme.host:run({ "true" }, { read = true }).status');
    like see(qr/^0$/m), qr/^0$/m, 'and the next one works';
};

subtest 'a mended service' => sub {
    line(':write on');
    like see(qr/WRITES/), qr/^meltanodata\.com WRITES, 1 open>/m, 'the prompt says that it writes';
    line(':mark');
    line('acme.systemd:stop "vsftpd"');
    line('acme.systemd:start "vsftpd"');
    line('acme.systemd:wait_active("vsftpd", { settle = 0 }).active');
    like see(qr/^"active"$/m), qr/^"active"$/m, 'what is mended by hand';
    line(':save fix-acme');
    my $text = see(qr/checked, /);
    like $text, qr{^saved as .*/fix-acme\.lua$}m, 'is saved' or diag $text;
    like $text, qr/1 file checked, nothing found/, 'as a playbook in which check finds nothing' or diag $text;
    $terminal->keys('C-d');
    like see(qr/status=/), qr/on record: hostler log \w+\nstatus=0/, 'the session ends';
    my $playbook = Cloud::read_file("$folder/config/hostler/playbooks/fix-acme.lua");
    like $playbook, qr/opt\("unit", "string", .*"vsftpd"\)/, 'the unit is a parameter' or diag $playbook;
    like $playbook, qr/step\("systemctl stop vsftpd\.service", function\(\)\n +acme\.systemd:stop\(p\.unit\)\n/, 'what writes is a step';
    like $playbook, qr/local acme = instance\(p\.\w+\)/, 'what it works on comes from before the mark';
};

subtest 'the playbook' => sub {
    my $before = $cloud->inside($droplet, 'systemctl', 'show', '--property=InvocationID', 'vsftpd');
    my $run = $cloud->run({ env => { XDG_CONFIG_HOME => "$folder/config" } }, 'run', 'fix-acme');
    is $run->{status}, 0, 'it runs' or diag $run->{stdout}, $run->{stderr};
    isnt $cloud->inside($droplet, 'systemctl', 'show', '--property=InvocationID', 'vsftpd'), $before, 'and does what was done by hand';
    $run = $cloud->run({ env => { XDG_STATE_HOME => "$folder/state" } }, 'log', 'last');
    like $run->{stdout}, qr/write .*systemctl stop vsftpd\.service: done/, 'the session is on record' or diag $run->{stdout};
};

done_testing;
