# The local cloud as tests of playbooks see it: runs of hostler in its environment, its control API, its droplets, its
# mail. What a test has made is removed when it ends, and what it changed of the cloud is put back.
package Cloud;

use strict;
use warnings;
use Encode qw(decode);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir tempfile);
use Hostler ();
use JSON::PP ();
use MIME::QuotedPrint qw(decode_qp);
use POSIX ();
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8->canonical;
my @connected;

# Connects to the cloud of $HOSTLER_CLOUD; dies when it is not up.
sub connect {
    my ($class) = @_;
    my $text = `tests/cloud/cloud env`;
    die "the local cloud is not up: HOSTLER_CLOUD=$ENV{HOSTLER_CLOUD} tests/cloud/cloud up\n" if $?;
    my %environment = $text =~ /^export (\w+)='([^']*)'$/mg;
    $ENV{HOSTLER_CLOUD} = $environment{HOSTLER_CLOUD}; # for the cloud's own scripts
    my $self = bless { env => \%environment, tenants => [], owner => $$, runs => [], background => {}, journal => tempdir(CLEANUP => 1) }, $class;
    $self->{teams} = $self->state->{teams};
    $self->clear_faults;
    $self->roomy;
    push @connected, $self;
    return $self;
}

# As it was before the test.
sub put_back {
    my ($self) = @_;
    $self->script('acme', 'limit', 'off');
    $self->script('mail', 'accept');
    $self->clear_faults;
    $self->put_back_teams;
    for my $tenant (splice @{ $self->{tenants} }) {
        eval { $self->forget($tenant); 1 } or warn "$tenant: $@";
    }
}

sub put_back_teams {
    my ($self) = @_;
    my $now = $self->state->{teams};
    for my $index (0 .. $#$now) {
        my $was = $self->{teams}[$index];
        my $limit = $was->{name} =~ /DBs/ ? $was->{cluster_limit} : $was->{droplet_limit};
        $self->team(team => $now->[$index]{name}, name => $was->{name}, limit => $limit, readonly => JSON::PP::false);
    }
    $self->team(team => '1Password', readonly => JSON::PP::false);
}

# Whatever became of the test, what it has started ends with it: else prove would wait for it for ever.
END {
    local ($?, $@, $!);
    for my $cloud (grep { $_->{owner} == $$ } @connected) {
        kill TERM => $_ for keys %{ $cloud->{background} };
        kill KILL => -$_->{pid} for grep { !defined $_->{status} } @{ $cloud->{runs} };
        $cloud->put_back;
    }
}

# ---- hostler ----

# Starts hostler in the background, in the cloud's environment and with a journal of this test's own; `env` in the options comes on top, undef there unsets.
sub start {
    my ($self, $options, @arguments) = @_;
    my %environment = (%{ $self->{env} }, NO_COLOR => 1, XDG_STATE_HOME => $self->{journal}, %{ $options->{env} || {} });
    delete $environment{$_} for grep { !defined $environment{$_} } keys %environment;
    my $run = Hostler::start({ %$options, env => \%environment }, @arguments);
    push @{ $self->{runs} }, $run;
    return $run;
}

sub run {
    my ($self, $options, @arguments) = @_;
    local $Hostler::timeout = $options->{timeout} || 600;
    return Hostler::finish($self->start($options, @arguments));
}

# Makes a tenant this test's own: what an earlier test may have left of it goes now, what there is at the end goes then.
sub claim {
    my ($self, $tenant) = @_;
    return if grep { $_ eq $tenant } @{ $self->{tenants} };
    push @{ $self->{tenants} }, $tenant;
    $self->forget($tenant) if $self->parts($tenant) ne '' || $self->letters_to("$tenant\@example.com")
        || read_file($self->{env}{HOSTLER_KNOWN_HOSTS}) =~ /^\Q$tenant\E\.meltanodata\.com /m;
}

# Starts `hostler run setup` for a tenant, which is removed at the end. Options: also name, email, flags, playbook.
sub start_setup {
    my ($self, $tenant, %options) = @_;
    $self->claim($tenant);
    return $self->start(\%options, 'run', $options{playbook} || 'setup', @{ $options{flags} || [] }, '--',
        $options{name} // 'Ada Lovelace', $options{email} // "$tenant\@example.com", $tenant);
}

sub setup {
    my ($self, $tenant, %options) = @_;
    local $Hostler::timeout = $options{timeout} || 600;
    return Hostler::finish($self->start_setup($tenant, %options));
}

# A folder with a copy of the playbooks in which a text of site.lua is another: a site with less patience, say.
sub site_with {
    my ($self, %changes) = @_;
    my $folder = tempdir(CLEANUP => 1);
    make_path("$folder/home");
    system('cp', '-r', 'playbooks', $folder) == 0 or die 'cp failed';
    my $site = read_file("$folder/playbooks/site.lua");
    for my $old (keys %changes) {
        $site =~ s/\Q$old\E/$changes{$old}/ or die "site.lua has no '$old'";
    }
    open my $file, '>', "$folder/playbooks/site.lua" or die $!;
    print $file $site;
    close $file or die $!;
    return $folder;
}

# Starts a command, or a function, in the background, with no output; returns its pid.
sub background {
    my ($self, @command) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        POSIX::close($_) for 3 .. 1023;
        if (ref $command[0]) { $command[0]->() }
        else                 { no warnings 'exec'; exec @command }
        POSIX::_exit(0);
    }
    $self->{background}{$pid} = 1;
    return $pid;
}

sub end_background {
    my ($self, $pid) = @_;
    kill TERM => $pid;
    waitpid $pid, 0;
    delete $self->{background}{$pid};
}

# Waits up to two minutes until this is true.
sub wait_until {
    my ($self, $what, $condition) = @_;
    my $end = time + 120;
    until ($condition->()) {
        die "waited in vain for $what\n" if time > $end;
        sleep 0.02;
    }
}

# An ssh-agent with these private keys; its pid and socket.
sub agent {
    my ($self, $folder, @keys) = @_;
    my $socket = "$folder/agent";
    my $pid = $self->background('ssh-agent', '-D', '-a', $socket);
    $self->wait_until('the ssh-agent', sub { -S $socket });
    local $ENV{SSH_AUTH_SOCK} = $socket;
    system('ssh-add', '-q', $_) == 0 or die 'ssh-add failed' for @keys;
    return ($pid, $socket);
}

# ---- the APIs ----

# One request; nothing of it is in curl's arguments, where other users could read it. Returns status and body.
sub request {
    my ($self, %request) = @_;
    my ($config, $path) = tempfile(UNLINK => 1);
    my $quoted = sub { my $text = shift; $text =~ s/(["\\])/\\$1/g; return qq("$text") };
    my @settings = (
        'silent', 'show-error', 'max-time = 30', 'write-out = "\n%{http_code}"',
        'cacert = ' . $quoted->($self->{env}{HOSTLER_CA_FILE}), 'request = ' . ($request{method} || 'GET'),
        'url = ' . $quoted->($request{url}),
        (map { 'header = ' . $quoted->($_) } @{ $request{headers} || [] }),
        (map { 'resolve = ' . $quoted->($_) } $request{resolve} || ()),
        (map { 'data-urlencode = ' . $quoted->($_) } @{ $request{form} || [] }),
    );
    push @settings, 'header = "Content-Type: application/json"', 'data-raw = ' . $quoted->($json->encode($request{json}))
        if $request{json};
    push @settings, 'data-raw = ' . $quoted->($request{body}) if defined $request{body};
    push @settings, 'dump-header = ' . $quoted->("$path.headers") if $request{headers_too};
    print $config "$_\n" for @settings;
    close $config;
    my $answer = qx(curl --config $path);
    unlink $path;
    my ($body, $status) = $answer =~ /^(.*)\n(\d+)\z/s or die "$request{url}: curl failed\n";
    my $headers = $request{headers_too} ? read_file("$path.headers") : undef;
    unlink "$path.headers";
    return ($status, $body, $headers);
}

# One call of the control API, https://G:8443/_cloud/PATH; returns the decoded answer.
sub control {
    my ($self, $method, $path, $body) = @_;
    my ($status, $text) = $self->request(method => $method, json => $body,
        url => "$self->{env}{DIGITALOCEAN_API_URL}/_cloud/$path");
    die "the control API refused $method $path: $text\n" if $status != 200;
    return $path eq 'log' ? $text : $json->decode($text);
}

sub state        { return $_[0]->control(GET    => 'state') }
sub clear_faults { return $_[0]->control(DELETE => 'faults') }

# fault(method => 'POST', path => '/v2/droplets', mode => 'fail', status => 500, count => 1)
sub fault {
    my ($self, %fault) = @_;
    return $self->control(POST => 'faults', \%fault);
}

# Changes a team: team(team => 'MeltanoData DBs 2', limit => 0).
sub team {
    my ($self, %change) = @_;
    return $self->control(POST => 'team', \%change);
}

# Room for every test in the database teams that are not marked as full, and no limit on how much tests may ask.
sub roomy {
    my ($self) = @_;
    for my $team (@{ $self->state->{teams} }) {
        $self->team(team => $team->{name}, burst => 1_000_000, hourly => 1_000_000);
        $self->team(team => $team->{name}, limit => 200) if $team->{name} =~ /DBs (?!.*\(full\))/;
    }
}

# The DigitalOcean API, with this token or that of the droplets; what it tells.
sub digitalocean {
    my ($self, $path, $token, $method, $body_sent) = @_;
    my ($status, $body) = $self->request(url => $self->{env}{DIGITALOCEAN_API_URL} . $path, method => $method,
        json => $body_sent,
        headers => [ 'Authorization: Bearer ' . ($token || $self->{env}{DO_API_TOKEN}) ]);
    return $body ne '' ? $json->decode($body) : undef;
}

sub database_tokens { return split /,/, $_[0]{env}{DO_DATABASE_API_TOKENS} }

# The 1Password Connect API; what it tells.
sub onepassword {
    my ($self, $path, $method, $body_sent) = @_;
    my ($status, $body) = $self->request(url => $self->{env}{OP_CONNECT_HOST} . $path, method => $method, json => $body_sent,
        headers => ["Authorization: Bearer $self->{env}{OP_CONNECT_TOKEN}"]);
    return $body ne '' ? $json->decode($body) : undef;
}

# The 1Password item of this title, with its fields: { title, urls, username, password }.
sub item {
    my ($self, $title) = @_;
    my $vault = $self->onepassword('/v1/vaults')->[0]{id};
    my @found = grep { $_->{title} eq $title } @{ $self->onepassword("/v1/vaults/$vault/items") };
    return undef if @found != 1;
    my $item = $self->onepassword("/v1/vaults/$vault/items/$found[0]{id}");
    $item->{ lc $_->{purpose} } = $_->{value} for grep { $_->{purpose} } @{ $item->{fields} };
    return $item;
}

# A droplet as DigitalOcean's API tells it, with its addresses: { public, private }.
sub droplet {
    my ($self, $tenant) = @_;
    my $droplet = $self->digitalocean("/v2/droplets?name=$tenant.meltanodata.com")->{droplets}[0] or return undef;
    $droplet->{ $_->{type} } = $_->{ip_address} for @{ $droplet->{networks}{v4} };
    return $droplet;
}

# The cluster whose name ends in -TENANT, with the name and token of its team.
sub cluster {
    my ($self, $tenant) = @_;
    for my $token ($self->database_tokens) {
        for my $cluster (@{ $self->digitalocean('/v2/databases', $token)->{databases} }) {
            next if $cluster->{name} !~ /-\Q$tenant\E\z/;
            return { %$cluster, token => $token, team => $self->digitalocean('/v2/account', $token)->{account}{team}{name} };
        }
    }
    return undef;
}

sub record {
    my ($self, $tenant) = @_;
    my $records = $self->digitalocean('/v2/domains/meltanodata.com/records?per_page=200')->{domain_records};
    my ($record) = grep { $_->{name} eq $tenant } @$records;
    return $record;
}

# What there is of a tenant, in words.
sub parts {
    my ($self, $tenant) = @_;
    my $state = $self->state;
    my $name  = "$tenant.meltanodata.com";
    return join ' ', (grep { $_->{name} eq $name } @{ $state->{droplets} }) ? 'droplet' : (),
        (grep { $_->{name} eq $tenant } @{ $state->{records} })              ? 'record'  : (),
        (grep { $_->{name} =~ /-\Q$tenant\E\z/ } @{ $state->{clusters} })    ? 'cluster' : (),
        (grep { $_->{title} =~ /^(meltano@)?\Q$name\E\z/ } @{ $state->{items} }) ? 'items' : ();
}

# Removes what there is of a tenant, so that there can be one of the same name.
sub forget {
    my ($self, $tenant) = @_;
    unlink map { $_->{path} } $self->letters_to("$tenant\@example.com");
    my $known_hosts = $self->{env}{HOSTLER_KNOWN_HOSTS};
    my $name = "$tenant.meltanodata.com";
    system("ssh-keygen -R $name -f $known_hosts >/dev/null 2>&1");
    unlink "$known_hosts.old";
    for my $made (grep { $_->{name} eq $name } @{ $self->state->{droplets} }) {
        $self->wait_for_droplet($tenant); # one that is still being made cannot be deleted
        $self->digitalocean("/v2/droplets/$made->{id}", undef, 'DELETE');
    }
    my $record = $self->record($tenant);
    $self->digitalocean("/v2/domains/meltanodata.com/records/$record->{id}", undef, 'DELETE') if $record;
    my $cluster = $self->cluster($tenant);
    $self->digitalocean("/v2/databases/$cluster->{id}", $cluster->{token}, 'DELETE') if $cluster;
    for my $title ($name, "meltano\@$name") {
        my $item = $self->item($title) or next;
        $self->onepassword("/v1/vaults/$item->{vault}{id}/items/$item->{id}", 'DELETE');
    }
}

# ---- what was asked of the APIs ----

# How many requests there have been: what the two below count from.
sub mark { return scalar split /\n/, $_[0]->control(GET => 'log') }

# [{ method, path, status, request, ... }] since a mark.
sub requests {
    my ($self, $since) = @_;
    my @lines = split /\n/, $self->control(GET => 'log');
    return map { $json->decode($_) } @lines[($since || 0) .. $#lines];
}

# The requests that changed something.
sub writes {
    my ($self, $since) = @_;
    return grep { $_->{method} ne 'GET' && $_->{status} < 400 } $self->requests($since);
}

# ---- machines ----

# Runs a script of the cloud; returns its output.
sub script {
    my ($self, $name, @arguments) = @_;
    open my $pipe, '-|', "tests/cloud/$name", @arguments or die "$name: $!";
    local $/;
    my $output = <$pipe>;
    close $pipe;
    return $output;
}

# Runs a command inside a droplet, as its root, without any network. Returns its output; its status is in $?.
sub inside {
    my ($self, $droplet, @command) = @_;
    return $self->script('droplet', 'exec', $droplet->{id}, @command);
}

# Waits until the tenant's droplet is active, and returns it.
sub wait_for_droplet {
    my ($self, $tenant) = @_;
    my $end = time + 240;
    while (time < $end) {
        my ($droplet) = grep { $_->{name} eq "$tenant.meltanodata.com" } @{ $self->state->{droplets} };
        return $droplet if $droplet && $droplet->{status} eq 'active';
        sleep 0.05;
    }
    die "the droplet of $tenant did not become active\n";
}

# Logs in to the tenant's UI as its browser would; the page that greets, or the status of the refusal.
sub log_in {
    my ($self, $tenant, $user, $password) = @_;
    my $host = "$tenant.meltanodata.com";
    my @resolve = (resolve => "$host:443:" . $self->droplet($tenant)->{public});
    my ($status, undef, $headers) = $self->request(method => 'POST', url => "https://$host/auth/login", headers_too => 1,
        form => [ "username=$user", "password=$password" ], @resolve);
    my ($cookie) = ($headers // '') =~ /^set-cookie:\s*(session=[^;\s]+)/mi or return $status;
    return ($self->request(url => "https://$host/", headers => ["Cookie: $cookie"], @resolve))[1];
}

# ---- mail ----

# The letters to this address: { from, to, subject, text, html, raw, path }, decoded.
sub letters_to {
    my ($self, $address) = @_;
    my @found;
    for my $path (glob "$self->{env}{CLOUD_MAIL}/new/* $self->{env}{CLOUD_MAIL}/cur/*") {
        my $raw = read_file($path);
        push @found, { %{ letter($raw) }, path => $path } if $raw =~ /^X-RcptTo:\s*\Q$address\E\s*$/mi;
    }
    return @found;
}

sub letter {
    my ($raw) = @_;
    my ($head, $body) = split /\r?\n\r?\n/, $raw, 2;
    $head =~ s/\r?\n[ \t]+/ /g;
    my %letter = (raw => $raw);
    while ($head =~ /^([\w-]+):\s*(.*?)\s*$/mg) {
        $letter{ lc $1 } = decode('MIME-Header', $2);
    }
    my ($boundary) = $head =~ /boundary="([^"]+)"/ or return \%letter;
    for my $part (split /^--\Q$boundary\E(?:--)?\r?\n?/m, $body) {
        my ($type) = $part =~ m{^Content-Type: text/(plain|html); charset=utf-8}mi or next;
        my ($fields, $content) = split /\r?\n\r?\n/, $part, 2;
        $content = decode_qp($content) if $fields =~ /quoted-printable/i;
        $letter{ $type eq 'plain' ? 'text' : 'html' } = decode('UTF-8', $content);
    }
    return \%letter;
}

sub read_file {
    my ($path) = @_;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

1;
