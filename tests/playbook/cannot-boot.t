#!/usr/bin/perl
# A droplet of the local cloud that cannot boot: `cloud trial`, and so `make try`, says why at once, and the stand-in
# answers that the action has failed.
use strict;
use warnings;
use Cloud;
use Hostler;
use Test::More;

my $cloud = Cloud->connect;
my $state = "/run/hostler-cloud/$cloud->{env}{HOSTLER_CLOUD}";

sub trial {
    my $said = `tests/cloud/cloud trial 2>&1`;
    return ($? >> 8, $said);
}

sub write_file {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file;
}

my ($status, $said) = trial();
is $status, 0, 'a droplet boots' or diag $said;
is `tests/cloud/droplet list | grep -c trial.example` + 0, 0, 'and is gone again';

my $image = do { open my $file, '<', "$state/image" or die $!; local $/; <$file> };
END { write_file("$state/image", $image) if $image }
write_file("$state/image", "/no/such/image\n");

($status, $said) = trial();
is $status, 1, 'one that cannot fails';
like $said, qr/a droplet cannot boot on this machine/, 'which is said';
like $said, qr/mount: .*overlay|special device|No such file/i, 'with the reason';

my $code = <<'LUA';
local digitalocean = require "digitalocean"

return playbook {
    summary = "A droplet that is never born",
    run = function()
        local account = digitalocean.account(secret "DO_API_TOKEN",
            { url = env "DIGITALOCEAN_API_URL", ca_file = env "HOSTLER_CA_FILE" })
        local snapshot = account:snapshots({ prefix = "meltano-" })[1]
        local id = step("order", function()
            return account:create_droplet({ name = "stillborn.example.com", region = "nyc3", size = "s-1vcpu-1gb",
                image = tonumber(snapshot.id), ssh_keys = { account:keys()[1].id } }).id
        end)
        local ended = wait_until("the action to end", { timeout = 60, interval = 0.1 }, function()
            local action = account:actions()[1]
            return action.resource_id == id and action.status ~= "in-progress" and action
        end)
        say("the action is %s", ended.status)
        step("remove", function()
            account:delete_droplet(id)
        end)
    end,
}
LUA
my $run = $cloud->run({ in => Hostler::playbooks(stillborn => $code) }, 'run', 'stillborn');
is $run->{status}, 0, 'what did not boot can be deleted' or diag $run->{stderr};
like $run->{stdout} . $run->{stderr}, qr/the action is errored/, 'and its action has failed';
my $log = `cat $state/log/api.log`;
like $log, qr/droplet \d+: .*\n.*mount/, 'with its reason in the log' or diag $log;

done_testing;
