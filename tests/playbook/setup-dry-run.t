#!/usr/bin/perl
# A dry run of set-up: the plan goes to its end, nothing is made, no secret is shown; and what it plans is what a real
# run then does.
use strict;
use warnings;
use Cloud;
use Promises;
use Test::More;

my $cloud = Cloud->connect;
my $tenant = 'planned';

my $known_hosts = Cloud::read_file($cloud->{env}{HOSTLER_KNOWN_HOSTS});
my $mark = $cloud->mark;
my $run = $cloud->setup($tenant, flags => ['--dry-run']);
is $run->{status}, 0, 'it ends well' or diag $run->{stdout}, $run->{stderr};

subtest 'nothing is made' => sub {
    is_deeply [ map { "$_->{method} $_->{path}" } $cloud->writes($mark) ], [], 'no write in the request log';
    my @refused = grep { $_->{method} ne 'GET' && $_->{method} ne 'DELETE' } $cloud->requests($mark);
    is_deeply \@refused, [], 'none was tried: only tokens were tried on what cannot exist';
    is $cloud->parts($tenant), '', 'there is no part of the instance';
    is scalar($cloud->letters_to("$tenant\@example.com")), 0, 'no mail';
    is Cloud::read_file($cloud->{env}{HOSTLER_KNOWN_HOSTS}), $known_hosts, 'known_hosts is as it was';
};

subtest 'the plan' => sub {
    my $plan = $run->{stdout};
    for (
        [ 'the cluster', qr/create database cluster meltano-planned db-s-1vcpu-1gb nyc3/ ],
        [ 'the droplet', qr/create droplet planned\.meltanodata\.com s-2vcpu-2gb nyc3/ ],
        [ 'its project', qr/put do:droplet:<[^>]+> into project Meltano/ ],
        [ 'the record, its address not known yet', qr/create record A planned in meltanodata\.com -> <[^>]+>/ ],
        [ 'whom the cluster trusts', qr/trust ip_addr <[^>]+>, ip_addr <[^>]+> in <[^>]+>/ ],
        [ 'the item of the customer', qr/create item planned\.meltanodata\.com in/ ],
        [ 'the item of staff', qr/create item meltano\@planned\.meltanodata\.com in/ ],
        [ 'the database settings', qr{write /etc/meltano/environment\.d/postgres.*^[^\n]*\+PG_ADDRESS=<database\.connection\.host>$}ms ],
        [ 'the authority of the certificate, as a diff', qr{write /etc/caddy/acme-ca\.pem.*^[^\n]*\+-----BEGIN CERTIFICATE}ms ],
        [ "Caddy's host name", qr{write /etc/caddy/environment.*^[^\n]*\+HOSTNAME=\w+\.meltanodata\.com$}ms ],
        [ "Caddy's configuration", qr{write /etc/caddy/Caddyfile.*^[^\n]*\+tls admin\@meltano\.com \{$}ms ],
        [ 'the restart of Meltano', qr/systemctl restart meltano\.service/ ],
        [ 'the start of Caddy', qr/systemctl start caddy\.service/ ],
        [ 'the user of the customer', qr/meltano user add planned/ ],
        [ 'the user of staff', qr/meltano user add meltano/ ],
        [ 'the mail', qr/mail to planned\@example\.com: Your Meltano instance is ready/ ],
        [ 'its text without the password', qr/Password  \[secret\]/ ],
        [ 'the mark that it is finished', qr/take from droplet <[^>]+> the tag setting-up/ ],
        [ 'its end', qr/dry run: 19 changes planned, none made/ ],
    ) {
        like $plan, $_->[1], $_->[0];
    }
    unlike $plan, qr/is ready; the login went/, 'it does not tell what has not happened';
    for my $name (qw(DO_API_TOKEN OP_CONNECT_TOKEN HOSTLER_SMTP_PASSWORD)) {
        unlike "$plan$run->{stderr}", qr/$cloud->{env}{$name}/, "$name is not shown";
    }
};

subtest 'a real run' => sub {
    my $plan = $cloud->setup($tenant, flags => [ '--dry-run', '--json' ]);
    my $real = $cloud->setup($tenant, flags => ['--json']);
    is $real->{status}, 0, 'succeeds' or diag $real->{stderr};
    makes_what_was_planned($plan, $real);
};

done_testing;
