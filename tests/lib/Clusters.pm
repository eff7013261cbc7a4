# Database clusters and 1Password items of the local cloud made through its APIs, and running hostler for a person who
# types. What is made is removed when the test ends.
package Clusters;
use strict;
use warnings;
use Exporter 'import';
use JSON::PP ();
use Droplets qw(eventually);

our @EXPORT = qw(call new_cluster new_item sql typed);

my @cleanup;
END {
    local $?;
    $_->() for @cleanup;
}

# One call of an API with a JSON body; dies unless it is granted.
sub call {
    my ($cloud, $token, $method, $url, $json) = @_;
    $url = "$cloud->{env}{DIGITALOCEAN_API_URL}$url" if $url =~ m{^/};
    my ($status, $body) = $cloud->request(method => $method, url => $url, headers => ["Authorization: Bearer $token"],
        json => $json);
    die "$method $url: $status $body\n" if $status >= 300;
    return $body ? JSON::PP::decode_json($body) : undef;
}

# A cluster that is online, in the team of this token; it trusts these addresses.
sub new_cluster {
    my ($cloud, $token, $name, @trusted) = @_;
    my $id = call($cloud, $token, POST => '/v2/databases',
        { name => $name, engine => 'pg', size => 'db-s-1vcpu-1gb', num_nodes => 1, region => 'nyc3' })->{database}{id};
    push @cleanup, sub { eval { call($cloud, $token, DELETE => "/v2/databases/$id") } };
    eventually("the cluster $name", sub {
        return $cloud->digitalocean("/v2/databases/$id", $token)->{database}{status} eq 'online';
    });
    call($cloud, $token, PUT => "/v2/databases/$id/firewall",
        { rules => [ map { { type => 'ip_addr', value => $_ } } @trusted ] });
    return { %{ $cloud->digitalocean("/v2/databases/$id", $token)->{database} }, token => $token };
}

sub new_item {
    my ($cloud, $title) = @_;
    my $vault = $cloud->onepassword('/v1/vaults')->[0]{id};
    my $url   = "$cloud->{env}{OP_CONNECT_HOST}/v1/vaults/$vault/items";
    my $item  = call($cloud, $cloud->{env}{OP_CONNECT_TOKEN}, POST => $url, {
        title => $title, vault => { id => $vault }, category => 'LOGIN',
        fields => [ { id => 'password', purpose => 'PASSWORD', type => 'CONCEALED', value => "secret of $title" } ],
    });
    push @cleanup, sub { eval { call($cloud, $cloud->{env}{OP_CONNECT_TOKEN}, DELETE => "$url/$item->{id}") } };
}

# Runs SQL in a cluster's database, as its own role; returns what psql prints, unaligned and without headings.
sub sql {
    my ($cloud, $cluster, $text) = @_;
    open my $pipe, '-|', 'tests/cloud/database', 'psql', $cluster->{connection}{database}, '-qAt', '-v', 'ON_ERROR_STOP=1',
        '-c', qq(SET ROLE "$cluster->{connection}{user}"), '-c', $text or die $!;
    local $/;
    my $output = <$pipe> // '';
    close $pipe or die "psql failed: $text\n";
    return $output =~ s/\n\z//r;
}

# Runs hostler on a terminal, where somebody types this.
sub typed {
    my ($cloud, $text, $options, @arguments) = @_;
    my @wrap = ('sh', '-c', 'exec script -qec "$0 $*" /dev/null');
    return $cloud->run({ %$options, wrap => \@wrap, stdin => $text }, @arguments);
}

1;
