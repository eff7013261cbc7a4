# Requests to webhooks, answered by hostler's own functions in a folder of Runs.pm: what serves HTTP is stood in for by
# tests/lib/deliver.lua.
package Deliveries;
use strict;
use warnings;
use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256_base64);
use Exporter 'import';
use File::Basename qw(dirname);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);

our @EXPORT = qw(request signed deliver start_deliveries answers);

my $root = abs_path(dirname(__FILE__) . '/../..');
my $build = $ENV{HOSTLER_BUILD} // 'build';
my $lua_test = ($build =~ m{^/} ? $build : "$root/$build") . '/lua-test';

sub lua_test { $lua_test }

my $json = JSON::PP->new->canonical;
my $files = 0;

# A request: path below /hooks/, body, headers in lower case; further fields: method, times (the body is repeated).
sub request {
    my ($path, $body, $headers, %more) = @_;
    return { method => 'POST', path => "/hooks/$path", remote => '192.0.2.7', headers => $headers // {},
        body => encode_base64($body, ''), %more };
}

# The same, signed as Typeform does.
sub signed {
    my ($path, $body, $key) = @_;
    my $code = hmac_sha256_base64($body, $key);
    $code .= '=' while length($code) % 4;
    return request($path, $body, { 'content-type' => 'application/json', 'typeform-signature' => "sha256=$code" });
}

# Starts to answer them, so many at once; with {gate}, when that file is there.
sub start_deliveries {
    my ($runs, $at_once, $gate, @requests) = @_;
    my $name = 'requests' . ++$files;
    $runs->put($name, join '', map { $json->encode($_) . "\n" } @requests);
    local $ENV{HOSTLER_PATH} = "$root/tests/lib:$root/playbooks";
    local $runs->{program} = $lua_test;
    return $runs->start("$root/tests/lib/deliver.lua", $name, $at_once, $gate ? $gate : ());
}

# The answers so far: { status, headers, body (decoded) }.
sub answers {
    my ($runs) = @_;
    my @answers = map { $json->decode($_) } $runs->get('stdout') =~ /^answer (.*)$/mg;
    $_->{body} = $json->decode($_->{body}) for @answers;
    return @answers;
}

# Answers requests one after the other.
sub deliver {
    my ($runs, @requests) = @_;
    $runs->finish(start_deliveries($runs, 1, undef, @requests)) == 0 or die "deliver.lua failed: $runs->{said}";
    my @answers = answers($runs);
    return wantarray ? @answers : $answers[0];
}

1;
