# A folder with playbooks and a journal of its own, and hostler started in it.
package Runs;
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use POSIX ();
use Time::HiRes qw(sleep time);

my $root = abs_path(dirname(__FILE__) . '/../..');
my $build = $ENV{HOSTLER_BUILD} // 'build';
my $binary = ($build =~ m{^/} ? $build : "$root/$build") . '/hostler';

# new(NAME => source, ...)
sub new {
    my ($class, %playbooks) = @_;
    my $self = bless { folder => tempdir(CLEANUP => 1) }, $class;
    mkdir "$self->{folder}/playbooks" or die $!;
    $self->{state} = "$self->{folder}/state";
    $self->put("playbooks/$_.lua", $playbooks{$_}) for keys %playbooks;
    return $self;
}

sub path { "$_[0]{folder}/$_[1]" }

sub put {
    my ($self, $name, $text) = @_;
    open my $file, '>:raw', $self->path($name) or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
}

sub get {
    my ($self, $name) = @_;
    open my $file, '<:raw', $self->path($name) or return '';
    local $/;
    return scalar <$file> // '';
}

# Starts it and returns its process number; its output goes to files. It has no terminal.
sub start {
    my ($self, @arguments) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    chdir $self->{folder} or POSIX::_exit(99);
    $ENV{XDG_STATE_HOME} = $self->{state};
    open STDIN,  '<', '/dev/null' or POSIX::_exit(99);
    open STDOUT, '>', 'stdout'    or POSIX::_exit(99);
    open STDERR, '>', 'stderr'    or POSIX::_exit(99);
    exec $binary, @arguments or POSIX::_exit(98);
}

# Waits for its end: the exit status, or -9 when SIGKILL ended it. What it said is in {said}.
sub finish {
    my ($self, $pid) = @_;
    local $SIG{ALRM} = sub { kill KILL => $pid };
    alarm 60;
    waitpid $pid, 0;
    alarm 0;
    $self->{stdout} = $self->get('stdout');
    $self->{said} = $self->{stdout} . $self->get('stderr');
    return $? & 127 ? -($? & 127) : $? >> 8;
}

sub hostler {
    my ($self, @arguments) = @_;
    return $self->finish($self->start(@arguments));
}

# Waits until the condition holds; false after ten seconds.
sub wait_for {
    my ($condition) = @_;
    for (my $end = time + 10; time < $end; sleep 0.002) {
        return 1 if $condition->();
    }
    return 0;
}

# All that the journal's files hold.
sub journal {
    my ($self) = @_;
    return join '', map { $self->get($_) } map { "state/hostler/journal.db$_" } '', '-wal', '-shm';
}

1;
