# A folder with playbooks and a journal of its own, and hostler started in it. Beside a PostgreSQL (with-postgres) and
# with RUNS_STORE=postgresql the journal is a database there; otherwise it is a file.
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
    my $self = $class->new_folder;
    mkdir "$self->{folder}/playbooks" or die $!;
    $self->{state} = "$self->{folder}/state";
    $self->put("playbooks/$_.lua", $playbooks{$_}) for keys %playbooks;
    $self->{store} = database() if shared();
    return $self;
}

sub new_folder {
    my ($class) = @_;
    return bless { folder => tempdir(CLEANUP => 1) }, $class;
}

# The same playbooks and journal, on another controller: a folder for its output, perhaps the name of a machine.
sub beside {
    my ($self, $host) = @_;
    my $other = Runs->new_folder;
    system('cp', '-r', $self->path('playbooks'), $other->{folder}) == 0 or die 'cp failed';
    @$other{qw(state store host)} = (@$self{qw(state store)}, $host);
    return $other;
}

# Whether journals are databases.
sub shared { ($ENV{RUNS_STORE} // '') eq 'postgresql' }

my $databases = 0;

# The address of a new database.
sub database {
    my $name = "journal_$$" . '_' . ++$databases;
    sql("CREATE DATABASE $name", 'postgres');
    return "postgresql://admin\@localhost:$ENV{POSTGRES_PORT}/$name?sslmode=verify-full&sslrootcert=$ENV{POSTGRES_CA}";
}

# A lease, in seconds, for tests that wait for its end: this, or more where a machine is slow or busy, by the time that
# one command takes.
sub lease {
    my ($least) = @_;
    my ($runs, $began) = (Runs->new, time);
    $runs->hostler('runs') for 1 .. 3;
    my $needed = POSIX::ceil((time - $began) * 8);
    return $needed > $least ? $needed : $least;
}

# What psql prints of a statement, in this database.
sub sql {
    my ($statement, $database) = @_;
    local $ENV{PGPASSWORD} = $ENV{POSTGRES_PASSWORD};
    open my $psql, '-|', 'psql', qw(-h localhost -U admin -XAtq -v ON_ERROR_STOP=1 -p), $ENV{POSTGRES_PORT}, '-d', $database,
        '-c', $statement or die "psql: $!";
    local $/;
    my $answer = <$psql> // '';
    close $psql or die "psql failed: $statement\n";
    return $answer =~ s/\n\z//r;
}

# pg_ctl on the server of with-postgres, which goes on at its port.
sub control_postgres {
    my (@words) = @_;
    my ($programs) = reverse sort glob '/usr/lib/postgresql/*/bin';
    my @as = $> == 0 ? qw(runuser -u postgres -- env --chdir=/) : ();
    system(@as, "$programs/pg_ctl", "--pgdata=$ENV{POSTGRES_SOCKET}/data", "--options=-p $ENV{POSTGRES_PORT}",
        "--log=$ENV{POSTGRES_SOCKET}/log", '--wait', '--timeout=300', '--silent', @words) == 0 or die "pg_ctl @words failed\n";
}

# What the journal's database answers.
sub query {
    my ($self, $statement) = @_;
    return sql($statement, $self->{store} =~ m{/(\w+)\?}) if $self->{store};
    open my $python, '-|', 'python3', '-c', <<'PYTHON', $self->path('state/hostler/journal.db'), $statement or die "python3: $!";
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
for statement in sys.argv[2].split(";"):
    for row in database.execute(statement):
        print("|".join("" if value is None else str(value) for value in row))
database.commit()
PYTHON
    local $/;
    my $answer = <$python> // '';
    close $python or die "SQLite failed: $statement\n";
    return $answer =~ s/\n\z//r;
}

sub binary { $binary }

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

# Starts it and returns its process number; its output goes to files. It has no terminal. With {host} it takes itself to be
# on a machine of that name (which needs root).
sub start {
    my ($self, @arguments) = @_;
    unlink map { $self->path($_) } qw(stdout stderr); # nobody is to read what another one has said
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    chdir $self->{folder} or POSIX::_exit(99);
    $ENV{XDG_STATE_HOME} = $self->{state};
    @ENV{qw(HOSTLER_STORE PGPASSWORD)} = ($self->{store}, $ENV{POSTGRES_PASSWORD}) if $self->{store};
    open STDIN,  '<', '/dev/null' or POSIX::_exit(99);
    open STDOUT, '>', 'stdout'    or POSIX::_exit(99);
    open STDERR, '>', 'stderr'    or POSIX::_exit(99);
    $self->fake_clock if $self->{clock};
    my $program = $self->{program} // $binary;
    exec qw(unshare --uts sh -c), 'hostname "$1"; shift; exec "$@"', 'sh', $self->{host}, $program, @arguments if $self->{host};
    exec $program, @arguments or POSIX::_exit(98);
}

# With {clock}, an offset such as "+1d" or "-3h", that is how the wall clock differs for what is started; set_clock changes
# it also for what has been started with one.
sub fake_clock {
    my ($self) = @_;
    my ($library) = glob '/usr/lib/*/faketime/libfaketime.so.1' or die 'libfaketime is not there';
    $self->put('clock', $self->{clock}) if !-e $self->path('clock');
    @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE FAKETIME_DONT_FAKE_MONOTONIC NO_FAKE_STAT)} =
        ($library, $self->path('clock'), 1, 1, 1); # the times of files stay as they are
}

sub set_clock {
    my ($self, $offset) = @_;
    $self->{clock} = $offset;
    $self->put('clock.new', $offset);
    rename $self->path('clock.new'), $self->path('clock') or die $!;
}

# Whether this build has a sanitizer, which libraries that come before it and measurements of memory do not go with.
sub sanitized { $binary =~ m{/build-san} }

# Waits for its end: the exit status, or -9 when SIGKILL ended it. What it said is in {said}.
sub finish {
    my ($self, $pid) = @_;
    local $SIG{ALRM} = sub { kill KILL => $pid };
    alarm 300;
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

# Waits until nothing that was started in the folder runs any more: programs outlive a run that is killed by a moment.
sub quiet {
    my ($self) = @_;
    my $folder = abs_path($self->{folder});
    return wait_for(sub { !grep { (readlink($_) // '') eq $folder } glob '/proc/[0-9]*/cwd' });
}

# Waits until the condition holds; false after two minutes.
sub wait_for {
    my ($condition) = @_;
    for (my $end = time + 120; time < $end; sleep 0.002) {
        return 1 if $condition->();
    }
    return 0;
}

# All that the journal holds.
sub journal {
    my ($self) = @_;
    return join '', map { $self->get("state/hostler/journal.db$_") } '', '-wal', '-shm' if !$self->{store};
    local $ENV{PGPASSWORD} = $ENV{POSTGRES_PASSWORD};
    my ($name) = $self->{store} =~ m{/(\w+)\?};
    my $dump = `pg_dump --host=localhost --port=$ENV{POSTGRES_PORT} --username=admin --data-only $name`;
    die "pg_dump failed\n" if $?;
    return $dump;
}

1;
