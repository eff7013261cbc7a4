#!/usr/bin/perl
# The playbooks of the handbook are all there; each fits on two screens and explains itself: what it does and touches,
# what it takes, what a second run does.
use strict;
use warnings;
use Cwd qw(abs_path);
use Hostler;
use Test::More;

my $folder = abs_path('playbooks');

sub hostler_says {
    my $run = hostler({ env => { HOSTLER_PATH => $folder } }, @_);
    is $run->{status}, 0, "hostler @_" or diag $run->{stderr};
    return $run->{stdout};
}

my ($playbooks, $webhooks) = split /^webhooks$/m, hostler_says('list');
my @names = $playbooks =~ /^  (\S+) +\S/mg;
is join(' ', $webhooks =~ /^  (\S+) +\S/mg), 'signup-typeform signup-zapier', 'and the two ways in which customers sign up';
is join(' ', sort @names), join(' ', sort qw(add-user caddy-tls configure-caddy configure-meltano delete doctor free-disk
    instances repair-env restart setup triage-500 triage-ftp trust-host upgrade wipe-demo)), 'a playbook for every procedure';

for my $name (@names) {
    subtest $name => sub {
        my $page = hostler_says('show', $name);
        my ($text) = $page =~ /^\Q$name\E — .+\n\n((?:  .*\n)+)\n/ or return fail 'it opens with what it does';
        my ($file) = $page =~ m{^  file      (\S+/playbooks/\Q$name\E\.lua)$}m or return fail 'it says where it is';
        my @lines  = do { open my $source, '<', $file or die $!; <$source> };
        like $text, qr/^  (?:Changes|Makes|Deletes|Drops|Moves|Removes|Replaces|Restarts|Runs|Does|Self-signed|Writes) +\S/m, 'what it changes';
        like $text, qr/^  Again +\S/m, 'what a second run does' if $page =~ /^  effects   reads and writes/m;
        like $page, qr/^  handbook  \S/m, 'where it stands in the handbook';
        my ($usage) = $page =~ /^usage: hostler run \S+ (.*)/m;
        like $page, qr/^  \Q$_\E +\S.{5}/m, "what $_ is" for ($usage =~ s/(--[\w-]+) [A-Z]+/$1/gr) =~ /(--[\w-]+|[A-Z_]+)/g;
        cmp_ok scalar(@lines), '<=', 120, 'it is short enough to be read before it is run';
    };
}
done_testing;
