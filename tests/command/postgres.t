#!/usr/bin/perl
# What a person sees of queries: the plan of a dry run, a read-only playbook, and a statement that fails.
use strict;
use warnings;
use File::Temp 'tempdir';
use Test::More;

exec 'tests/lib/with-postgres', $^X, $0 unless $ENV{POSTGRES_PORT};

my $hostler = ($ENV{HOSTLER_BUILD} || 'build') . '/hostler';
my $folder = tempdir(CLEANUP => 1);

# Runs a playbook with this body; returns its exit status and all that it printed.
sub run {
    my ($body, @options) = @_;
    my $effects = $body =~ s/^effects (\w+)\n// ? "effects = \"$1\"," : '';
    open my $file, '>', "$folder/book.lua" or die;
    print $file <<"LUA";
local postgres = require "postgres"
local function connect()
    return postgres.connect { host = "localhost", port = env "POSTGRES_PORT", user = "admin", dbname = "postgres",
        password = secret "POSTGRES_PASSWORD", ca_file = env "POSTGRES_CA" }
end
return playbook { summary = "Try PostgreSQL", $effects run = function() $body end }
LUA
    close $file;
    my $output = `$hostler run $folder/book.lua @options 2>&1`;
    return ($? >> 8, $output);
}

my ($status, $output) = run('local db = connect()
    step("make", function()
        db:transaction(function(tx)
            tx:query("create table made (secret_value text)")
            local rows = tx:query("insert into made values ($1) returning secret_value", "hidden-parameter")
            say("inserted " .. rows[1].secret_value)
            say("tables " .. tx:read("select count(*) as n from pg_class where relname = $1", "made")[1].n)
        end)
    end)', '--dry-run');
is $status, 0, 'a dry run goes to the end';
like $output, qr/create table made/, 'a write is planned';
like $output, qr/insert into made values/, 'and the next';
unlike $output, qr/hidden-parameter/, 'without its parameters';
like $output, qr/inserted <.*secret_value>/, 'what a write returns is unknown';
like $output, qr/tables 0/, 'a read runs, and nothing was made';

($status, $output) = run('local host = step("droplet", function()
        return connect():query("select 1")[1].address
    end)
    local db = postgres.connect { host = host, user = "admin", password = "x", dbname = "app" }
    step("fill", function() db:query("create schema " .. db:ident("Weird \"Name\"")) end)
    postgres.connect("postgresql://app:plain-password@" .. host .. "/app")
    local rows = db:read("select name from t where id = $1", 1)
    say("read " .. rows[1].name)
    db:transaction(function(tx) say("also " .. tx:query("select x")[1].x) end, { read_only = true })
    db:close()', '--dry-run');
is $status, 0, 'a dry run goes on with a server that does not exist yet';
like $output, qr/create schema "Weird "Name""|create schema "Weird ""Name"""/, 'what would be written there is planned';
unlike $output, qr/plain-password/, 'a URI that is not complete does not show its password';
like $output, qr/read <.*name>/, 'a read there is unknown';
like $output, qr/also <.*x>/, 'in a transaction too';

($status, $output) = run("effects read\n" . 'local db = connect()
    say("sum " .. db:read("select 1 + 1 as s")[1].s)
    db:transaction(function(tx) say("product " .. tx:query("select 2 * 3 as p")[1].p) end, { read_only = true })
    db:query("create table made (id int)")');
like $output, qr/sum 2/, 'a playbook that only reads may read';
like $output, qr/product 6/, 'in a transaction too';
isnt $status, 0, 'but not query';
like $output, qr/this run only reads/, 'and is told why';

($status, $output) = run('local db = connect()
    step("look", function() db:query("select relname,\n  nope\nfrom pg_class where relname = $1", "hidden-parameter") end)');
is $status, 1, 'a failing statement fails the run';
like $output, qr/column "nope" does not exist \(SQLSTATE 42703\)/, 'with the server\'s words';
like $output, qr/sql       line 2:   nope\n {22}\^/, 'and the place';
unlike $output, qr/hidden-parameter|correct-horse/, 'no parameter and no password is shown';

($status, $output) = run('connect():query("select 1")');
like $output, qr/a write outside a step/, 'a query needs a step';

done_testing;
