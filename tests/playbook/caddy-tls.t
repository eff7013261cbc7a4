#!/usr/bin/perl
# caddy-tls: Caddy 2 and Caddy 1 against a real ACME authority that reaches its limit, and what else can be in the way of
# a certificate, each made for real.
use strict;
use warnings;
use Cloud;
use Droplets;
use Promises;
use Test::More;

my $cloud = Cloud->connect;
my $edited; # the Caddyfile as staff have left it

sub tls {
    my ($tenant, @flags) = @_;
    return $cloud->run({ timeout => 120 }, 'run', 'caddy-tls', $tenant, @flags);
}

sub caddyfile { return $cloud->inside($_[0], 'cat', '/etc/caddy/Caddyfile') }

sub put {
    my ($droplet, $path, $text) = @_;
    $cloud->inside($droplet, 'sh', '-c', 'printf %s "$1" >"$0"', $path, $text);
}

# Who has issued the certificate that port 443 shows from here.
sub issuer {
    my ($droplet) = @_;
    my $shown = qx(openssl s_client -connect $droplet->{public}:443 -servername $droplet->{name} </dev/null 2>/dev/null);
    return $shown =~ /^issuer=(.*)$/m ? $1 : $shown =~ /BEGIN CERT/ ? '' : 'none';
}

# The droplet as a set-up leaves it that met the limit: its name set, ACME asked for.
sub meet_limit {
    my ($droplet, $old, @limit) = @_;
    $cloud->script('acme', 'limit', 'on', @limit);
    $cloud->inside($droplet, 'rm', '-rf', '/var/lib/caddy/.caddy', '/var/lib/caddy/.local');
    put($droplet, '/etc/caddy/environment', "# mine\nHOSTNAME=$droplet->{name}\nOTHER=1\n");
    my $authority = "\ttls admin\@meltano.com";
    $authority .= " {\n\t\tca $cloud->{env}{HOSTLER_ACME_DIRECTORY}\n"
        . ($old ? '' : "\t\tca_root /etc/caddy/acme-ca.pem\n") . "\t}";
    put($droplet, '/etc/caddy/acme-ca.pem', Cloud::read_file($cloud->{env}{HOSTLER_ACME_CA}));
    my $proxy = $old ? "\tproxy / localhost:5000 {\n\t\ttransparent\n\t}\n" : "\treverse_proxy localhost:5000\n";
    my $self  = $old ? 'self_signed' : 'internal';
    $edited = "# edited by staff\n\n{\$HOSTNAME} {  \n\t# tls $self\n$authority\n\n\theader / X-Kept \"tls internal\"   # why\n$proxy}\n";
    $edited =~ s/header \/ /header / if !$old;
    put($droplet, '/etc/caddy/Caddyfile', $edited);
    $cloud->inside($droplet, 'systemctl', 'restart', '--no-block', 'caddy');
}

sub other_lines { return join "\n", grep { !/^\s*(#\s*)?(tls (internal|self_signed|admin)|ca |ca_root |\}$)/ } split /\n/, $_[0] }

for my $version (2, 1) {
    my $tenant  = "tls$version";
    my $droplet = new_droplet($cloud, $tenant, $version == 1 ? qr/^meltano-2024-03-18$/ : qr/^meltano-/);
    is tls($tenant)->{status}, 0, 'a self-signed instance as its image has it';
    isnt issuer($droplet), 'none', "is seen on port 443 (Caddy $version)";

    meet_limit($droplet, $version == 1);
    subtest "Caddy $version: a rate limit without a time" => sub {
        my $run = tls($tenant);
        is $run->{status}, 3, 'without consent nothing is done';
        # The handbook's text, word for word.
        my $said = 'Error creating new order :: too many certificates already issued for: meltanodata.com: see '
            . 'https://letsencrypt.org/docs/rate-limits/';
        $said = 'failed to obtain certificate: acme: error: 429 :: POST :: https://acme-v02.api.letsencrypt.org/acme/new-order '
            . ":: urn:ietf:params:acme:error:rateLimited :: $said, url:" if $version == 1;
        like $run->{stdout}, qr/evidence .*\Q$said\E/, 'the evidence is what Caddy says';
        like $run->{stdout}, qr/limit .*one more about every 202 minutes$/m, 'the limit is told';
        like $run->{stdout}, qr/ends .* UTC at the latest$/m, 'and when it ends, as far as that is known';
    };

    meet_limit($droplet, $version == 1, '--retry-after', 7200);
    subtest "Caddy $version: a rate limit" => sub {
        my $run = tls($tenant);
        is $run->{status}, 3, 'without consent nothing is done';
        like $run->{stdout}, qr/gives no more certificates for now/, 'the limit is found';
        like $run->{stdout}, qr/evidence .*rateLimited/, 'with the evidence';
        like $run->{stdout}, qr/limit .*50 certificates a registered domain in 7 days/, 'which one';
        like $run->{stdout}, qr/ends      20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$/m, 'and when it ends';
        is caddyfile($droplet), $edited, 'the Caddyfile is as it was';
        $run = tls($tenant, '--yes', '--dry-run');
        is $run->{status}, 0, 'a dry run goes to the end' or diag $run->{stderr};
        like $run->{stdout}, qr/ \+.*tls (internal|self_signed)$/m, 'shows the line that changes';
        is caddyfile($droplet), $edited, 'and changes nothing';
    };

    subtest "Caddy $version: self-signed now" => sub {
        my $run = tls($tenant, '--yes');
        is $run->{status}, 0, 'it ends well' or diag $run->{stdout}, $run->{stderr};
        like $run->{stdout}, qr{https://\S+ answers over HTTPS}, 'and says that https answers';
        isnt issuer($droplet), 'none', 'it does';
        unlike issuer($droplet), qr/Pebble/, 'with a certificate of its own';
        my $now = caddyfile($droplet);
        is other_lines($now), other_lines($edited), 'every other line of the Caddyfile stays';
        like $now, qr/^\ttls (internal|self_signed)$/m, 'the tls line is another';
        is $cloud->inside($droplet, 'cat', '/etc/caddy/environment'), "# mine\nHOSTNAME=$droplet->{name}:443\nOTHER=1\n",
            'and HOSTNAME has the port';
        $run = tls($tenant, '--yes');
        is $run->{status}, 0, 'a second time';
        is caddyfile($droplet), $now, 'changes nothing';
        like $run->{stdout}, qr/signs its certificate itself/, 'and says so';
    };

    subtest "Caddy $version: back to ACME" => sub {
        # The stand-in of Caddy 1 takes a certificate that it made itself for one from an authority.
        $cloud->inside($droplet, 'rm', '-rf', '/var/lib/caddy/.caddy') if $version == 1;
        my $run = tls($tenant, '--acme');
        is $run->{status}, 1, 'while the limit lasts it fails';
        like $run->{stderr}, qr/gives no more certificates/, 'with the reason';
        isnt issuer($droplet), 'none', 'and the instance goes on with its own certificate';
        $cloud->script('acme', 'limit', 'off');
        $run = tls($tenant, '--acme');
        is $run->{status}, 0, 'later it ends well' or diag $run->{stdout}, $run->{stderr};
        like issuer($droplet), qr/Pebble/, 'with a certificate from the authority';
        is caddyfile($droplet), $edited, 'and the Caddyfile as it was before all this';
        $run = tls($tenant, '--acme');
        is $run->{status}, 0, 'a second time';
        like $run->{stdout}, qr/0 changes/, 'changes nothing';
    };
}

my $droplet = $cloud->droplet('tls2');
$edited = caddyfile($droplet);

# Takes the certificate away, and starts Caddy with what `prepare` has made of the droplet. Whether the start succeeds
# does not matter, but it has begun: what the journal says from then on is of this one.
sub anew {
    my ($prepare) = @_;
    my $start  = sub { $cloud->inside($droplet, 'systemctl', 'show', '--property=InvocationID', '--value', 'caddy') };
    my $before = $start->();
    $cloud->inside($droplet, 'sh', '-c', 'systemctl stop caddy; rm -rf /var/lib/caddy/.local /var/lib/caddy/.config');
    $prepare->();
    $cloud->inside($droplet, 'systemctl', 'restart', '--no-block', 'caddy');
    eventually('Caddy to be started anew', sub { $start->() ne $before });
}

sub fails_with {
    my ($pattern, $hint, $what) = @_;
    my $before = caddyfile($droplet);
    my $run    = tls('tls2', '--yes');
    is $run->{status}, 1, "$what: is told";
    like $run->{stderr}, $pattern, 'with the reason' or diag $run->{stdout};
    like $run->{stderr}, $hint, 'and what to do';
    is caddyfile($droplet), $before, 'the Caddyfile stays';
}

like tls('tls2', '--acme', '--wait')->{stderr}, qr/of --self-signed, --wait and --acme one goes/, 'options that contradict each other';

subtest 'a rate limit without a time' => sub {
    anew(sub { $cloud->script('acme', 'limit', 'on', '--kind', 'set') });
    my $run = tls('tls2');
    is $run->{status}, 3, 'it asks';
    like $run->{stdout}, qr/limit .*same set of names, one more about every 34 hours/, 'the limit is another one';
    like $run->{stdout}, qr/ends .* at the latest/, 'and its end is estimated';
};

# A limit that Caddy has met: one that tells when it ends, or not.
sub limited {
    my ($seconds) = @_;
    my @limit = defined $seconds ? ('--retry-after', $seconds) : ();
    anew(sub {
        put($droplet, '/etc/caddy/Caddyfile',   $edited);
        put($droplet, '/etc/caddy/environment', "HOSTNAME=$droplet->{name}\n");
        $cloud->script('acme', 'limit', 'on', @limit);
    });
    eventually('the limit to be met', sub { $cloud->inside($droplet, 'journalctl', '-u', 'caddy', '-n', 20) =~ /rateLimited/ });
}

subtest 'waiting for the end of a limit' => sub {
    limited(7200);
    my $plan = tls('tls2', '--wait', '--dry-run');
    is $plan->{status}, 0, 'a dry run does not wait' or diag $plan->{stderr};
    like $plan->{stdout}, qr/would wait for the limit to end, at 20.* UTC, for [12]h \d\dm.*plan .*stop caddy/s, 'but says how long';

    limited(); # when it ends is guessed at, once
    my $run = $cloud->start({}, 'run', 'caddy-tls', 'tls2', '--wait');
    Hostler::wait_for($run, qr/wait +for the limit to end/);
    my ($end) = $run->{stdout} =~ /for the limit to end, at (.* UTC)/;
    kill KILL => $run->{pid};
    Hostler::finish($run);
    sleep 2;
    $run = $cloud->start({}, 'resume', 'last');
    Hostler::wait_for($run, qr/wait +for the limit to end/);
    like $run->{stdout}, qr/for the limit to end, at \Q$end\E/, 'stopped and resumed it waits for the same moment';
    kill INT => $run->{pid};
    is Hostler::finish($run)->{status}, 130, 'until somebody stops it';

    limited(12);
    $run = $cloud->start({}, 'run', 'caddy-tls', 'tls2', '--wait');
    Hostler::wait_for($run, qr/ends      .*ends      /s);
    like $run->{stdout}, qr/try again \(1\): done.*gives no more certificates for now/s, 'when the limit goes on, so does the waiting';
    limited(3); # a fresh start of Caddy meets it, and then it ends
    $cloud->script('acme', 'limit', 'off');
    $run = Hostler::finish($run);
    is $run->{status}, 0, 'it ends well' or diag $run->{stdout}, $run->{stderr};
    like issuer($droplet), qr/Pebble/, 'with a certificate from the authority';
};

# What it may change: Caddy's files, whether it runs, and whose certificate it shows.
sub look {
    my $issuer = issuer($droplet);
    return $cloud->inside($droplet, 'sh', '-c', 'cd /etc/caddy; ls -l; cat Caddyfile environment; systemctl is-active caddy') =~ s/ [A-Z][a-z]{2} [ \d]\d \d\d:\d\d / DATE /gr
        . ($issuer =~ /Pebble/ ? 'Pebble' : $issuer eq 'none' ? 'none' : 'its own');
}

keeps_its_promises($cloud, 'its promises on a limit', {
    command => [ 'caddy-tls', 'tls2', '--yes' ],
    before  => sub { limited(7200) },
    look    => \&look,
    again   => qr/signs its certificate itself/,
});

keeps_its_promises($cloud, 'its promises on the way back', {
    command => [ 'caddy-tls', 'tls2', '--acme' ],
    before  => sub {
        limited(7200);
        is tls('tls2', '--yes')->{status}, 0, 'self-signed';
        $cloud->script('acme', 'limit', 'off');
    },
    look  => \&look,
    again => qr/has a certificate that is good/,
});

subtest 'Caddy is stopped' => sub {
    $cloud->inside($droplet, 'systemctl', 'stop', 'caddy');
    my $run = tls('tls2');
    is $run->{status}, 0, 'it is started' or diag $run->{stdout}, $run->{stderr};
    like issuer($droplet), qr/Pebble/, 'and has its certificate';
};

subtest 'wrong DNS' => sub {
    anew(sub { $cloud->script('dns', 'set', $droplet->{name}, $droplet->{public} =~ s/\d+$/250/r) });
    fails_with(qr/does not lead to the instance/, qr/set the A record/, 'a name that leads elsewhere');
    $cloud->script('dns', 'set', $droplet->{name}, $droplet->{public});
    my $run = tls('tls2');
    is $run->{status}, 0, 'once the name is right, Caddy tries again' or diag $run->{stdout}, $run->{stderr};
    like issuer($droplet), qr/Pebble/, 'and gets its certificate';
};

subtest 'closed ports' => sub {
    anew(sub { put($droplet, '/etc/caddy/Caddyfile', "{\n\thttp_port 8080\n\thttps_port 8443\n}\n$edited") });
    fails_with(qr/does not get through to the instance's port 80 or 443/, qr/open ports 80 and 443/, 'nobody behind port 80');
    put($droplet, '/etc/caddy/Caddyfile', $edited);
    $cloud->inside($droplet, 'systemctl', 'restart', '--no-block', 'caddy');
};

subtest 'a bad Caddyfile' => sub {
    anew(sub { put($droplet, '/etc/caddy/Caddyfile', $edited . "nonsense {\n") });
    fails_with(qr/does not take its Caddyfile/, qr/mend .*Caddyfile/, 'a Caddyfile with a mistake');
    put($droplet, '/etc/caddy/Caddyfile', $edited);
    my $run = tls('tls2');
    is $run->{status}, 0, 'once it is mended, Caddy is started' or diag $run->{stdout}, $run->{stderr};
    like issuer($droplet), qr/Pebble/, 'and gets its certificate';
};

subtest 'self-signed, whatever is in the way' => sub {
    anew(sub { $cloud->script('dns', 'clear', $droplet->{name}) });
    my $run = tls('tls2', '--self-signed');
    is $run->{status}, 0, 'it ends well' or diag $run->{stdout}, $run->{stderr};
    isnt issuer($droplet), 'none', 'https answers';
    $cloud->script('dns', 'set', $droplet->{name}, $droplet->{public});
    $run = $cloud->run({ timeout => 120 }, 'undo', 'last', '--yes');
    is $run->{status}, 0, 'it can be taken back' or diag $run->{stdout}, $run->{stderr};
    like issuer($droplet), qr/Pebble/, 'and then the authority is asked';
    is caddyfile($droplet), $edited, 'by the Caddyfile of before';
};
done_testing;
