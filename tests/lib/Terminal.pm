# A command in a real terminal (tmux): keys are typed, the screen is read.
package Terminal;
use strict;
use warnings;
use utf8;
use Encode qw(decode encode);
use File::Temp qw(tempdir);
use Time::HiRes qw(sleep time);

my @open;
END { local $?; $_->leave for @open }

# new(COLUMNS, ROWS, COMMAND): COMMAND is for the shell; when it has ended the screen says status=N.
sub new {
    my ($class, $columns, $rows, $command) = @_;
    my $folder = tempdir(CLEANUP => 1);
    my $self = bless { tmux => ['tmux', '-S', "$folder/tmux", '-f', '/dev/null', '-u'] }, $class;
    local %ENV = (%ENV, LC_ALL => 'C.UTF-8');
    delete $ENV{TMUX};
    $self->tmux('new-session', '-d', '-x', $columns, '-y', $rows, "$command; echo status=\$?; exec sleep 1000");
    push @open, $self;
    return $self;
}

sub tmux {
    my ($self, @arguments) = @_;
    system(@{ $self->{tmux} }, @arguments) == 0 or die "tmux @arguments failed";
}

# What the screen shows, without spaces at the ends of lines and empty lines at the end. Options are those of
# capture-pane: '-e' with colours, '-S', '-200' with what has scrolled away.
sub screen {
    my ($self, @options) = @_;
    open my $pipe, '-|', @{ $self->{tmux} }, 'capture-pane', '-p', @options or die $!;
    local $/;
    my $text = decode('UTF-8', <$pipe> // '');
    $text =~ s/ +$//mg;
    $text =~ s/\n+\z/\n/;
    return $text;
}

# The screen as soon as it shows this; after a minute what it shows by then.
sub see {
    my ($self, $pattern, @options) = @_;
    my $until = time + 60;
    my $text;
    do { sleep 0.02; $text = $self->screen(@options) } until $text =~ $pattern || time > $until;
    return $text;
}

# Types text as it is.
sub type { $_[0]->tmux('send-keys', '-l', encode('UTF-8', $_[1])) }

# Presses keys, by tmux's names: 'Enter', 'C-c', 'Tab'.
sub keys { my ($self, @keys) = @_; $self->tmux('send-keys', @keys) }

# Pastes as a terminal does, with marks around the text.
sub paste {
    my ($self, $text) = @_;
    $self->tmux('set-buffer', encode('UTF-8', $text));
    $self->tmux('paste-buffer', '-p');
}

sub resize { my ($self, $columns, $rows) = @_; $self->tmux('resize-window', '-x', $columns, '-y', $rows) }

# The process number of the command.
sub pid {
    my ($self) = @_;
    my ($shell) = `@{ $self->{tmux} } list-panes -F '#{pane_pid}'` =~ /(\d+)/;
    return `pgrep -P $shell` =~ /(\d+)/ ? $1 : undef;
}

sub cursor_is_shown { `@{ $_[0]{tmux} } display-message -p '#{cursor_flag}'` =~ /1/ }

sub leave {
    my ($self) = @_;
    system("@{ $self->{tmux} } kill-server 2>/dev/null") unless $self->{left}++;
}

1;
