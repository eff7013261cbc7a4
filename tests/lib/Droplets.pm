# Droplets of the local cloud made through its API, without a whole set-up: as much of an instance as a test needs.
package Droplets;
use strict;
use warnings;
use Cloud;
use Exporter 'import';
use File::Temp ();
use JSON::PP ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(eventually api new_droplet rebuild act write_file);

# Waits until the condition holds; dies when it does not within four minutes.
sub eventually {
    my ($what, $condition) = @_;
    my $end = time + 240;
    until ($condition->()) {
        die "gave up waiting for $what\n" if time > $end;
        sleep 0.1;
    }
}

# One call of DigitalOcean's API with a JSON body; dies unless it is granted.
sub api {
    my ($cloud, $method, $path, $json) = @_;
    my ($status, $body) = $cloud->request(method => $method, url => $cloud->{env}{DIGITALOCEAN_API_URL} . $path,
        headers => ["Authorization: Bearer $cloud->{env}{DO_API_TOKEN}"], json => $json);
    die "$method $path: $status $body\n" if $status >= 300;
    return $body ? JSON::PP::decode_json($body) : undef;
}

# A droplet TENANT.meltanodata.com with its A record, up and with SSH; gone when the test ends. The image is the newest
# whose name matches.
sub new_droplet {
    my ($cloud, $tenant, $image) = @_;
    push @{ $cloud->{tenants} }, $tenant;
    my ($snapshot) = sort { $b->{created_at} cmp $a->{created_at} } grep { $_->{name} =~ ($image // qr/^meltano-/) }
        @{ $cloud->digitalocean('/v2/snapshots')->{snapshots} };
    my @keys = map { $_->{id} } @{ $cloud->digitalocean('/v2/account/keys')->{ssh_keys} };
    api($cloud, POST => '/v2/droplets', { name => "$tenant.meltanodata.com", region => 'nyc3', size => 's-2vcpu-2gb',
        image => $snapshot->{id} + 0, ssh_keys => \@keys, tags => ['production'] });
    my $id      = $cloud->wait_for_droplet($tenant)->{id};
    my $droplet = $cloud->droplet($tenant);
    api($cloud, POST => '/v2/domains/meltanodata.com/records',
        { type => 'A', name => $tenant, data => $droplet->{public}, ttl => 3600 });
    eventually('its sshd', sub { $cloud->script('droplet', 'ready', $id); $? == 0 });
    pin($cloud, $droplet);
    return $droplet;
}

# Writes the droplet's host key down where this test's runs look for it: a file of its own.
sub pin {
    my ($cloud, $droplet) = @_;
    $cloud->{pinned} //= File::Temp->new;
    $cloud->{env}{HOSTLER_KNOWN_HOSTS} = $cloud->{pinned}->filename;
    my ($type, $key) = split ' ', $cloud->inside($droplet, 'cat', '/etc/ssh/ssh_host_ed25519_key.pub');
    open my $file, '>>', $cloud->{env}{HOSTLER_KNOWN_HOSTS} or die $!;
    print $file "$droplet->{name} $type $key\n";
    close $file or die $!;
}

# Does something to a droplet through the API, and waits until it is done.
sub act {
    my ($cloud, $droplet, $kind, %details) = @_;
    my $action = api($cloud, POST => "/v2/droplets/$droplet->{id}/actions", { type => $kind, %details })->{action};
    eventually($kind, sub {
        $cloud->digitalocean("/v2/actions/$action->{id}")->{action}{status} eq 'completed';
    });
}

# Gives the droplet a new system, and with it new host keys.
sub rebuild {
    my ($cloud, $droplet) = @_;
    act($cloud, $droplet, 'rebuild', image => $droplet->{image}{id});
    eventually('its sshd', sub { $cloud->script('droplet', 'ready', $droplet->{id}); $? == 0 });
}

sub write_file {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file or die $!;
    return $path;
}

1;
