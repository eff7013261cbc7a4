#!/usr/bin/perl
# A set-up is recorded, and replayed where there is no network: the same steps in less than a second. No secret of it is
# in the recording.
use strict;
use warnings;
use Cloud;
use File::Temp qw(tempdir);
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(time);

my $cloud  = Cloud->connect;
my $tenant = 'recorded';
my $folder = tempdir(CLEANUP => 1);
my $file   = "$folder/recording";

my $run = $cloud->setup($tenant, flags => [ '--record', $file ]);
is $run->{status}, 0, 'set-up is recorded' or die $run->{stderr};
is sprintf('%o', (stat $file)[2] & 07777), '600', 'the recording is its owner\'s alone';

my $text   = Cloud::read_file($file);
my %secret = (
    (map { ($_ => $cloud->{env}{$_}) } qw(DO_API_TOKEN OP_CONNECT_TOKEN HOSTLER_SMTP_PASSWORD)),
    (map { ("a token for databases, $_" => ($cloud->database_tokens)[$_]) } 0 .. $cloud->database_tokens - 1),
    'the password of the cluster'  => $cloud->cluster($tenant)->{connection}{password},
    'the password of the customer' => $cloud->item("$tenant.meltanodata.com")->{password},
    'the password of staff'        => $cloud->item("meltano\@$tenant.meltanodata.com")->{password},
);
for my $name (sort keys %secret) {
    ok length $secret{$name} >= 8, "$name is known";
    for my $form ($secret{$name}, encode_base64($secret{$name}, '') =~ s/=*$//r) {
        is index($text, $form), -1, "$name is not in the recording";
    }
}

my $mark   = $cloud->mark;
my $began  = time;
my $replay = Hostler::hostler({ env => { XDG_STATE_HOME => $folder }, wrap => [qw(unshare --net)] }, 'run', 'setup', '--replay',
    $file, '--', 'Ada Lovelace', "$tenant\@example.com", $tenant);
my $seconds = time - $began;
is $replay->{status}, 0, 'it is replayed without the cloud' or diag $replay->{stdout}, $replay->{stderr};
cmp_ok $seconds, '<', 1, 'in less than a second';

# The steps and what was said, without the times.
my $told = sub { [ map { s/^[\d:]+ //r =~ s/ [\d.]+ ?s\b//r } grep { / (step|say|warn) / } split /\n/, $_[0] ] };
is_deeply $told->($replay->{stdout}), $told->($run->{stdout}), 'it tells the same';
is_deeply [ $cloud->requests($mark) ], [], 'and asks nothing';
is scalar($cloud->letters_to("$tenant\@example.com")), 1, 'there is no second letter';

my $edited = $cloud->site_with('size = "s-2vcpu-2gb"' => 'size = "s-4vcpu-8gb"');
$replay = Hostler::hostler({ in => $edited }, 'run', 'setup', '--replay', $file);
is $replay->{status}, 1, 'with another size it fails';
like $replay->{stderr}, qr/no such effect: write http\.post .*create droplet \S+ s-4vcpu-8gb/, 'and says what is asked for';
like $replay->{stderr}, qr/recorded here is: write http\.post .*create droplet \S+ s-2vcpu-2gb .*instance\.lua:\d+/,
    'instead of what';

done_testing;
