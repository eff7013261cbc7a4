# Runs the hostler under test: arguments, environment, input, signals; its status, signal and output. A run that takes
# too long is killed and fails its test.
package Hostler;
use strict;
use warnings;
use Cwd qw(abs_path getcwd);
use Exporter 'import';
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IO::Handle;
use IO::Select;
use POSIX qw(:sys_wait_h _exit);
use Test::More ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(hostler start finish playbooks playbook run_book wait_for);

my $root = abs_path(dirname(__FILE__) . '/../..');
our $binary = ($ENV{HOSTLER_BUILD} // 'build') =~ m{^/} ? "$ENV{HOSTLER_BUILD}/hostler"
    : "$root/" . ($ENV{HOSTLER_BUILD} // 'build') . '/hostler';
our $timeout = 80;

# Where those live that run in no folder of their own: nobody else's.
our $elsewhere = tempdir(CLEANUP => 1);

# A new folder to run in, with these playbooks (NAME => source) in playbooks/. Also an empty home.
sub playbooks {
    my %source = @_;
    my $folder = tempdir(CLEANUP => 1);
    make_path("$folder/playbooks", "$folder/home");
    playbook($folder, $_, $source{$_}) for keys %source;
    return $folder;
}

# Writes FOLDER/playbooks/NAME.lua.
sub playbook {
    my ($folder, $name, $source) = @_;
    open my $file, '>:raw', "$folder/playbooks/$name.lua" or die "$folder/playbooks/$name.lua: $!";
    print $file $source;
    close $file or die $!;
}

# Starts it in the background. Options: in (folder), env (hash), stdin (text; empty without), close (file descriptors to
# close), wrap (command to put before it).
sub start {
    my ($options, @arguments) = @_;
    pipe my $out_read, my $out_write or die $!;
    pipe my $err_read, my $err_write or die $!;
    pipe my $in_read,  my $in_write  or die $!;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        setpgrp;
        chdir $options->{in} or _exit(99) if $options->{in};
        my %keep = map { $_ => $ENV{$_} } grep { defined $ENV{$_} } qw(PATH ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS);
        my $home = ($options->{in} // $elsewhere) . '/home';
        %ENV = (%keep, HOME => $home, XDG_STATE_HOME => "$home/state", %{ $options->{env} // {} });
        POSIX::dup2(fileno $in_read,   0);
        POSIX::dup2(fileno $out_write, 1);
        POSIX::dup2(fileno $err_write, 2);
        POSIX::close($_) for 3 .. 20, @{ $options->{close} // [] };
        no warnings 'exec';
        exec @{ $options->{wrap} // [] }, $binary, @arguments or _exit(98);
    }
    close $_ for $in_read, $out_write, $err_write;
    local $SIG{PIPE} = 'IGNORE';
    $in_write->autoflush;
    print $in_write $options->{stdin} if defined $options->{stdin};
    close $in_write;
    return { pid => $pid, out => $out_read, err => $err_read, stdout => '', stderr => '' };
}

sub drain {
    my ($run, $seconds) = @_;
    my $select = IO::Select->new(grep { defined } $run->{out}, $run->{err});
    for my $handle ($select->can_read($seconds)) {
        my $field = defined $run->{out} && $handle == $run->{out} ? 'out' : 'err';
        sysread($handle, $run->{"std$field"}, 65536, length $run->{"std$field"}) or delete $run->{$field};
    }
}

# Takes all that it has said so far.
sub catch_up {
    my ($run) = @_;
    drain($run, 0) while IO::Select->new(grep { defined } $run->{out}, $run->{err})->can_read(0);
}

# Waits until the condition holds; false when it takes too long.
sub holds {
    my ($condition) = @_;
    for (my $end = time + $timeout; time < $end; sleep 0.02) {
        return 1 if $condition->();
    }
    return 0;
}

# Whether a signal has been sent to a process that it does not know of yet.
sub pending {
    my ($pid) = @_;
    open my $status, '<', "/proc/$pid/status" or return 0;
    return scalar grep { /^(?:Shd|Sig)Pnd:\s*0*[1-9a-f]/ } <$status>;
}

# Waits until the output matches; false when it ends or takes too long.
sub wait_for {
    my ($run, $pattern) = @_;
    my $end = time + $timeout;
    while ("$run->{stdout}$run->{stderr}" !~ $pattern) {
        return 0 if time > $end || !($run->{out} || $run->{err});
        drain($run, 0.2);
    }
    return 1;
}

# Waits for its end; returns { status, signal, stdout, stderr, seconds }.
sub finish {
    my ($run) = @_;
    my $began = time;
    while ($run->{out} || $run->{err}) {
        drain($run, 0.5);
        if (time - $began > $timeout) {
            kill KILL => -$run->{pid};
            Test::More::fail("hostler ended within $timeout s");
            last;
        }
    }
    waitpid $run->{pid}, 0;
    @$run{qw(status signal seconds)} = ($? >> 8, $? & 127, time - $began);
    return $run;
}

sub hostler {
    my $options = ref $_[0] ? shift : {};
    return finish(start($options, @_));
}

# Runs one playbook given as source; the rest are its arguments.
sub run_book {
    my ($source, @arguments) = @_;
    my $options = ref $arguments[0] ? shift @arguments : {};
    my $folder = playbooks(book => $source);
    return hostler({ in => $folder, %$options }, 'run', 'book', @arguments);
}

1;
