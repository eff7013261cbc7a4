# Servers of other makes for a test: those of tests/servers, and programs on this machine. Each has an address of
# 127.0.0.0/8 of its own, so that ports are the same everywhere and tests that run side by side do not meet.
package Servers;
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use POSIX 'WNOHANG';
use Time::HiRes 'sleep';

use constant START_TIME => 60;

$| = 1;

# Servers->new(NAMES): their addresses, and a folder with a certificate for all of them: server.pem, server.key, and
# both.pem, which is both.
sub new {
    my ($class, @names) = @_;
    my $folder = tempdir(CLEANUP => 1);
    my $net    = sprintf '127.%d.%d', map { 1 + int rand 254 } 1, 2;
    my %addresses;
    @addresses{@names} = map { "$net.$_" } 1 .. @names;
    my $alternative = join ',', 'DNS:localhost', map { "IP:$_" } values %addresses;
    system("openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=servers"
            . " -addext subjectAltName=$alternative -keyout $folder/server.key -out $folder/server.pem 2>$folder/openssl.log"
            . " && cat $folder/server.pem $folder/server.key >$folder/both.pem") == 0
        or die "openssl cannot make a certificate\n";
    chmod 0755, $folder;
    return bless { folder => $folder, addresses => \%addresses, pids => {}, parent => $$ }, $class;
}

sub folder  { $_[0]{folder} }
sub address { $_[0]{addresses}{ $_[1] } // die "no server $_[1]\n" }

# Starts a program of this machine, in the background, as the server NAME.
sub start {
    my ($self, $name, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', "$self->{folder}/$name.out";
        open STDERR, '>&', \*STDOUT;
        exec 'setpriv', '--pdeathsig', 'KILL', @command or die "$command[0]: $!\n";
    }
    $self->{pids}{$name} = $pid;
}

# Starts a server of tests/servers. ECHO => NAME: the web server that it hands requests on to.
sub start_of_tree {
    my ($self, $name, %with) = @_;
    my $folder = "$self->{folder}/$name";
    system('tests/servers/tree >/dev/null') == 0 or die "there are no servers to start\n"; # no part of the time to start
    mkdir $folder or die "$folder: $!\n";
    chmod 0777, $folder;
    system("cp $self->{folder}/*.pem $self->{folder}/server.key $folder/") == 0 or die "cp\n";
    local $ENV{ECHO} = $with{ECHO} ? $self->address($with{ECHO}) : '';
    $self->start($name, 'tests/servers/run', $name, $self->address($name), $folder);
}

# Waits until the server listens on these ports.
sub wait_for {
    my ($self, $name, @ports) = @_;
    my $end = time + START_TIME;
    for my $port (@ports) {
        until (IO::Socket::INET->new(PeerAddr => $self->address($name), PeerPort => $port)) {
            my $ended = waitpid $self->{pids}{$name}, WNOHANG;
            die "$name has ended:\n" . $self->said($name)                          if $ended;
            die "$name does not listen on $port:\n" . $self->said($name) if time > $end;
            sleep 0.02;
        }
    }
}

# What it has printed, and the end of its log.
sub said {
    my ($self, $name) = @_;
    return `cat $self->{folder}/$name.out; tail -n 20 $self->{folder}/$name/$name.log 2>/dev/null`;
}

# Runs a test in Lua with one argument, JSON: folder, and addresses by name.
sub run_lua {
    my ($self, $file) = @_;
    return system($self->lua_test($file)) == 0 ? 0 : 1;
}

# The same as a subtest, on a machine of this name, which the test finds as hostname. True when it passes.
sub run_lua_on {
    my ($self, $hostname, $file) = @_;
    my @test = $self->lua_test($file, hostname => $hostname);
    open my $output, '-|', 'unshare', '--uts', 'sh', '-c', 'echo "$0" >/proc/sys/kernel/hostname && exec "$@"', $hostname, @test
        or die "unshare: $!\n";
    print "    $_" while <$output>;
    return close $output;
}

sub lua_test {
    my ($self, $file, %more) = @_;
    my %given = (folder => $self->{folder}, addresses => $self->{addresses}, %more);
    return (($ENV{HOSTLER_BUILD} // 'build') . '/lua-test', $file, JSON::PP->new->canonical->encode(\%given));
}

sub stop {
    my ($self) = @_;
    kill KILL => $_ for values %{ $self->{pids} };
    waitpid $_, 0 for values %{ $self->{pids} };
    $self->{pids} = {};
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    $self->stop if $self->{parent} == $$;
}

$SIG{TERM} = $SIG{INT} = sub { exit 143 };

1;
