#!/usr/bin/perl
# What 1Password hides in an item of any kind - passwords, the seeds of one-time passwords, notes, keys, earlier passwords -
# is a secret wherever a run leaves a trace: on the screen, in the journal, in a recording, in the body that is sent. The
# Connect server is a stand-in, run by hostler itself.
use strict;
use warnings;
use lib 'tests/lib';
use JSON::PP;
use Runs;
use Test::More;

# By type: what is hidden, and what anybody may see.
my %hidden = (
    CONCEALED => 'concealed-hunter2', TOTP => 'otpauth://totp/ada?secret=JBSWY3DPEHPK3PXP&issuer=x', OTP => 'KRSXG5CTMVRXEZLU',
    SSHKEY => "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHunter2Hunter2\n-----END PRIVATE KEY-----\n",
    CREDIT_CARD_NUMBER => '4111111111111111', FILE => 'content-of-a-file', WHAT_IS_TO_COME => 'nobody-knows-yet',
);
my %plain = (
    STRING => 'a-plain-text', EMAIL => 'ada@example.org', URL => 'https://example.org/login', DATE => '2026-11-28',
    MONTH_YEAR => '202611', MENU => 'one-of-a-menu', PHONE => '+1-555-0100', ADDRESS => '1 Main Street', GENDER => 'unspecified',
    REFERENCE => 'another-item', CREDIT_CARD_TYPE => 'mastercard',
);
my @fields = (
    { id => 'username', type => 'STRING', purpose => 'USERNAME', value => 'ada-the-user' },
    { id => 'password', type => 'CONCEALED', purpose => 'PASSWORD', value => 'password-hunter2' },
    { id => 'a', type => 'STRING', purpose => 'NOTES', value => 'notes-by-purpose' },
    { id => 'notesPlain', type => 'STRING', value => 'notes-by-name' },
    { id => 'b', type => 'STRING', value => 'otpauth://totp/x?secret=SEEDINAPLAINTEXT' },
    { id => 'c', type => 'OTP', value => 'MFRGGZDFMZTWQ2LK', totp => '987654' },
    (map { { id => "hidden $_", type => $_, value => $hidden{$_} } } sort keys %hidden),
    (map { { id => "plain $_", type => $_, value => $plain{$_} } } sort keys %plain),
);
my $item = {
    id => 'i', title => 'ada', category => 'SECURE_NOTE', vault => { id => 'v' }, fields => \@fields,
    additionalInformation => 'notes-by-purpose of the list', passwordDetails => { history => ['password-of-last-year'] },
    files => [ { id => 'f', name => 'ada.key', content => 'content-of-the-attachment' } ],
};
my @secrets = (
    values %hidden, 'password-hunter2', 'notes-by-purpose', 'notes-by-name', 'SEEDINAPLAINTEXT', 'JBSWY3DPEHPK3PXP',
    'MFRGGZDFMZTWQ2LK', '987654', 'password-of-last-year', 'content-of-the-attachment',
    'notes-by-purpose of the list',
);

my $runs = Runs->new(
    server => <<'LUA',
local file, http, sh = require "file", require "http", require "sh"
return playbook {
    summary = "a stand-in for 1Password Connect",
    run = function()
        local item = json.decode(file.read "item.json")
        local summary = { id = item.id, title = item.title, category = item.category,
            additionalInformation = item.additionalInformation }
        local answers = {
            ["/v1/vaults"] = { { id = "v", name = "site" } }, ["/v1/vaults/v/items"] = { summary },
            ["/v1/vaults/v/items/i"] = item,
        }
        local server = http.serve({ tls = { certificate = "ca.pem", key = "key.pem" } }, function(request)
            return { json = answers[request.path] }
        end)
        step("tell", function() sh.run({ "sh", "-c", "cat >address.new; mv address.new address" }, { stdin = server.url }) end)
        server:wait()
    end,
}
LUA
    book => <<'LUA',
local onepassword = require "onepassword"
return playbook {
    summary = "looks at all that an item has",
    run = function()
        local vault = onepassword.connect(env "ADDRESS", secret.wrap "connect-token-1", { ca_file = "ca.pem" }):vault "site"
        local item = vault:find "ada"
        local kept = step("keep it", function() return item end)
        for _, one in ipairs { item, kept, vault:items()[1] } do
            dump(one)
            for _, field in ipairs(one.fields or {}) do
                say("%s is %s", field.id, tostring(field.value))
            end
        end
        fail("an error that tells: " .. tostring(item.fields[3].value) .. tostring(item.password))
    end,
}
LUA
);
$runs->put('item.json', JSON::PP->new->canonical->encode($item));
system('openssl', qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2 -subj /CN=stand-in -addext),
    'subjectAltName=IP:127.0.0.1', '-keyout', $runs->path('key.pem'), '-out', $runs->path('ca.pem')) == 0 or die;

my $beside = $runs->beside;
$beside->put($_, $runs->get($_)) for 'item.json', 'key.pem', 'ca.pem';
$beside->{state} = $beside->path('state'); # what the stand-in itself records is no trace of the run
my $server = $beside->start('run', 'server');
END { kill TERM => $server if $server }
ok Runs::wait_for(sub { $beside->get('address') }), 'the stand-in serves' or die $beside->get('stderr');
$ENV{ADDRESS} = $beside->get('address');

is $runs->hostler('run', 'book', '--record', 'recording', '--verbose'), 1, 'a run that fails in the end';
my $shown = $runs->{said};
my %trace = (screen => $shown, journal => $runs->journal, recording => $runs->get('recording'));
for my $command ([qw(log last --verbose)], [qw(log last --json)]) {
    $runs->hostler(@$command);
    $trace{"@$command"} = $runs->{said};
}
for my $where (sort keys %trace) {
    my @there = grep { index($trace{$where}, $_) >= 0 || index($trace{$where}, JSON::PP->new->allow_nonref->encode($_)) >= 0 } @secrets;
    ok !@there, "nothing hidden on or in the $where" or diag join "\n", @there;
}
like $shown, qr/^.* \Q$_\E/m, "shows $_" for values %plain, 'ada-the-user';
like $shown, qr/hidden \Q$_\E is \[secret\]/, "and of $_ that it is one" for sort keys %hidden;
is $runs->hostler('run', 'book', '--replay', 'recording'), 1, 'the recording can be replayed';
like $runs->{said}, qr/an error that tells/, 'to the same end' or diag $runs->{said};

done_testing;
