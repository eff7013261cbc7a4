#!/usr/bin/perl
# Webhooks among the commands for playbooks: list, show, check, edit, diff and Tab know them, and say what is wrong with one.
use strict;
use warnings;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Hostler;
use JSON::PP ();
use Test::More;

my $GOOD = <<'LUA';
-- Orders of our shop.
return webhook {
    summary = "Orders",
    path = "shop",
    from = webhook.hmac(secret "SHOP_SECRET", { header = "X-Sign" }),
    group = "orders",
    key = function(delivery) return delivery.json.id end,
    run = function(delivery)
        return "ship", { delivery.fields.name }
    end,
}
LUA
my $SHIP = 'return playbook { summary = "Ship", params = { arg("name", "name", "whose") }, run = function() end }';
my $folder = playbooks(orders => $GOOD, ship => $SHIP);

sub run_here { return hostler({ in => $folder }, @_) }

# ---- list and show ----

my $list = run_here('list');
like $list->{stdout}, qr/^  ship  .*^webhooks\n  orders .*Orders \(POST \/hooks\/shop\)$/ms, 'list has them behind the playbooks';
unlike $list->{stdout} =~ s/^webhooks.*//msr, qr/orders/, 'and not among these';
my ($row) = grep { $_->{name} eq 'orders' } @{ JSON::PP->new->decode(run_here('list', '--json')->{stdout}) };
is "$row->{kind} $row->{answers} $row->{summary}", 'webhook /hooks/shop Orders', 'as data';
my $page = run_here('show', 'orders')->{stdout};
like $page, qr{^orders — Orders\n\n  Orders of our shop\.\n.*^  answers   POST /hooks/shop\n  proof     the signature in X-Sign\n.*SHOP_SECRET is not set here.*^  group     orders\n  file }ms, 'show';
like run_here('show', 'webhook.hmac')->{stdout}, qr/^    time_prefix +string$/m, 'and the reference';
is run_here('run', 'orders')->{status}, 2, 'a webhook is not run';

# ---- check ----

is run_here('check', 'orders')->{stdout}, "1 file checked, nothing found\n", 'a good one';
my %findings = (
    'an unknown field' => [ 's/summary/sumary/', qr/:3:1: a webhook has no field 'sumary' \[manifest\]\n.*\n.*did you mean 'summary'/ ],
    'a field that is missing' => [ 's/    path.*\n//', qr/the webhook lacks 'path' \[manifest\]/ ],
    'a path that is none' => [ 's/"shop"/"Shop\/x"/', qr/:4:1: the field 'path' is lower-case letters/ ],
    'no proof' => [ 's/from = .*/from = {},/', qr/:5:1: the field 'from' is no proof of origin/ ],
    'no header' => [ 's/, \{ header.*?\}//', qr/webhook\.hmac needs the name of a header \[load\]\n.*\n +mend +webhook\.hmac\(secret "NAME", \{ header = "X-Signature" \}\)/ ],
    'a secret in plain text' => [ 's/secret "SHOP_SECRET"/"plain"/', qr/webhook\.hmac takes a secret, or a list of them, not a string/ ],
    'an unknown option' => [ 's/header = /heder = /', qr/:5:\d+: webhook\.hmac has no option 'heder' \[option\]/ ],
    'an unknown field of a delivery' => [ 's/delivery\.fields/delivery.felds/', qr/:9:\d+: Delivery has no field 'felds' \[field\]/ ],
    'a playbook that is not there' => [ 's/"ship"/"shipp"/', qr/there is no playbook 'shipp' \[errand\]\n.*\n.*did you mean 'ship'/ ],
    'a write' => [ 's/return "ship"/require "file".write("x", "y") return "ship"/', qr/:9:\d+: `file\.write` writes in a webhook \[webhook\]/ ],
    'a step' => [ 's/return "ship"/step("x", function() end) return "ship"/', qr/:9:\d+: the step 'x' stands in a webhook \[webhook\]/ ],
    'an effect while it is loaded' => [ 's/^return/local _ = require "file".read "x"\nreturn/m', qr/touches nothing/ ],
);
for my $what (sort keys %findings) {
    my ($change, $wanted) = @{ $findings{$what} };
    local $_ = $GOOD;
    eval $change;
    die $@ if $@;
    playbook($folder, 'orders', $_);
    my $run = run_here('check', 'orders');
    is $run->{status}, 1, $what;
    like $run->{stdout}, $wanted, 'is found';
}
playbook($folder, 'orders', $GOOD);
playbook($folder, 'rival', $GOOD);
like run_here('check')->{stdout}, qr{orders\.lua:2:\d+: \./playbooks/rival\.lua answers to /hooks/shop too \[rival\]}, 'two of one path';
my $listed = run_here('list')->{stdout};
like $listed, qr{^  orders .*\(POST /hooks/shop; not heard: rival answers there too\)$}m, 'list says so';
like $listed, qr{^  rival .*\(POST /hooks/shop; not heard: orders answers there too\)$}m, 'of both';
playbook($folder, 'rival', $GOOD =~ s/"shop"/"typeform"/r);
like run_here('list')->{stdout}, qr{^  signup-typeform .*\(POST /hooks/typeform; not heard: rival answers there too\)$}m, 'one of a folder that comes first';
unlike run_here('list')->{stdout}, qr/^  rival .*not heard/m, 'is heard';
unlink "$folder/playbooks/rival.lua";

# ---- new ----

my $beginner = tempdir(CLEANUP => 1);
my @at_home = { in => $beginner, env => { HOME => $beginner, XDG_CONFIG_HOME => "$beginner/config" } };
my $begun = hostler(@at_home, 'new', 'our-shop', '--webhook');
is $begun->{status}, 0, 'new --webhook' or diag $begun->{stderr};
like $begun->{stdout}, qr/^  next +hostler edit our-shop .*hostler webhook test our-shop --file BODY /ms, 'says what to do next';
like hostler(@at_home, 'show', 'our-shop')->{stdout}, qr{^  answers   POST /hooks/our-shop\n.*the secret OUR_SHOP_SECRET is not set here}ms, 'it is a webhook';
like hostler(@at_home, 'check', 'our-shop')->{stdout}, qr/there is no playbook 'PLAYBOOK' \[errand\].*1 finding$/s, 'whose playbook is to be named';

# ---- edit ----

my $home = tempdir(CLEANUP => 1);
make_path("$home/bin", "$home/prefix/bin", "$home/prefix/share/hostler/playbooks");
system('cp', $Hostler::binary, "$home/prefix/bin/hostler") == 0 or die 'cp failed';
for ([ orders => $GOOD ], [ ship => $SHIP ]) {
    open my $file, '>', "$home/prefix/share/hostler/playbooks/$_->[0].lua" or die $!;
    print $file $_->[1];
    close $file;
}
open my $editor, '>', "$home/bin/editor" or die $!;
print $editor "#!/bin/sh\nsed -i s/Orders\\\"/Ours\\\"/ \"\$1\"\n";
close $editor;
chmod 0755, "$home/bin/editor";
my %env = (HOME => $home, XDG_CONFIG_HOME => "$home/config", XDG_STATE_HOME => "$home/state", EDITOR => "$home/bin/editor");
{
    local $Hostler::binary = "$home/prefix/bin/hostler";
    my $edited = hostler({ in => $home, env => \%env }, 'edit', 'orders');
    is $edited->{status}, 0, 'edit makes a copy' or diag $edited->{stdout} . $edited->{stderr};
    like $edited->{stdout}, qr/is a copy of .*nothing found\n.*next +hostler webhook test orders --file BODY .*hostler diff orders/s, 'checks it, and says how to try it';
    like hostler({ in => $home, env => \%env }, 'list')->{stdout}, qr/^webhooks\n  orders +Ours \(POST .*shadows .*share/m, 'it counts from then on';
    like hostler({ in => $home, env => \%env }, 'diff', 'orders')->{stdout}, qr/^\+    summary = "Ours"/m, 'diff';
}

# ---- Tab ----

sub words {
    my ($line) = @_;
    return join ' ', run_here('completion', 'words', $line)->{stdout} =~ /^(\S+)\t/mg;
}
is words('hostler run o'), '', 'Tab offers no webhook to run';
is words('hostler show o'), 'orders', 'but to show';
is words('hostler webhook '), 'test', 'webhook test';
is words('hostler webhook test o'), 'orders', 'with their names';
is words('hostler inbox '), 'show run', 'inbox';
is words('hostler inbox show '), 'last', 'with deliveries';

done_testing;
