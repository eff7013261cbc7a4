# The local cloud as tests of playbooks see it: its environment, its control API, its droplets, its mail.
package Cloud;

use strict;
use warnings;
use JSON::PP ();

my $json = JSON::PP->new->utf8->canonical;

# Sets the cloud's environment for everything the test runs. Dies when no cloud is up.
sub connect {
    my ($class) = @_;
    my $text = `tests/cloud/cloud env`;
    die "the local cloud is not up: HOSTLER_CLOUD=$ENV{HOSTLER_CLOUD} tests/cloud/cloud up\n" if $?;
    my %environment = $text =~ /^export (\w+)='([^']*)'$/mg;
    @ENV{keys %environment} = values %environment;
    return bless {%environment}, $class;
}

# One call of the control API, https://G:8443/_cloud/PATH; returns the decoded answer.
sub control {
    my ($self, $method, $path, $body) = @_;
    my @command = ('curl', '-fsS', '--cacert', $self->{HOSTLER_CA_FILE}, '-X', $method);
    push @command, '-H', 'Content-Type: application/json', '--data-binary', $json->encode($body) if defined $body;
    open my $pipe, '-|', @command, "$self->{DIGITALOCEAN_API_URL}/_cloud/$path" or die "curl: $!";
    local $/;
    my $answer = <$pipe>;
    close $pipe or die "the control API refused $method $path\n";
    return $path eq 'log' ? [map { $json->decode($_) } split /\n/, $answer] : $json->decode($answer || '{}');
}

sub state { return $_[0]->control(GET => 'state') }
sub clear_faults { return $_[0]->control(DELETE => 'faults') }

# fault(method => 'POST', path => '/v2/droplets', mode => 'fail', status => 500, count => 1)
sub fault {
    my ($self, %fault) = @_;
    return $self->control(POST => 'faults', \%fault);
}

# What was asked of the APIs since the number of requests given: [{ method, path, status, ... }].
sub requests {
    my ($self, $since) = @_;
    my $log = $self->control(GET => 'log');
    return @$log[($since || 0) .. $#$log];
}

sub writes {
    my ($self, $since) = @_;
    return grep { $_->{method} ne 'GET' && $_->{status} < 400 } $self->requests($since);
}

sub droplet {
    my ($self, $name) = @_;
    my ($droplet) = grep { $_->{name} eq $name } @{ $self->state->{droplets} };
    return $droplet;
}

# Runs a command inside a droplet, as its root, without any network. Returns its output.
sub inside {
    my ($self, $droplet, @command) = @_;
    open my $pipe, '-|', 'tests/cloud/droplet', 'exec', $droplet->{id}, @command or die "droplet exec: $!";
    local $/;
    my $output = <$pipe>;
    close $pipe;
    return $output;
}

# The messages in the Maildir to this address, as text.
sub mail_to {
    my ($self, $address) = @_;
    my @found;
    for my $file (glob "$self->{CLOUD_MAIL}/new/* $self->{CLOUD_MAIL}/cur/*") {
        open my $handle, '<', $file or die "$file: $!";
        local $/;
        my $message = <$handle>;
        push @found, $message if $message =~ /^(?:To|X-RcptTo):.*\Q$address\E/mi;
    }
    return @found;
}

1;
