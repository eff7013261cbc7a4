#!/usr/bin/perl
# Tables: show() for people and for programs; and lists that may be empty.
use strict;
use warnings;
use utf8;
use Encode qw(encode);
use Hostler;
use JSON::PP ();
use Test::More;

binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;

my $book = encode('UTF-8', <<'LUA');
return playbook {
    summary = "x",
    run = function()
        local token = secret.wrap "hunter2hunter2"
        show({
            { name = "ada", size = 3, token = token, hidden = true },
            { name = "ünï\27[2J\nx", token = "a hunter2hunter2 b" },
        }, { "name", { "size", title = "How big", as = function(value, row) return value .. " of " .. row.name end }, "token" })
        show({}, { "name" })
    end,
}
LUA

my $run = run_book($book);
is $run->{status}, 0, 'tables are shown' or diag $run->{stderr};
my @lines = map { Encode::decode('UTF-8', $_) } $run->{stdout} =~ /^\S+ say +(.*)$/mg;
is_deeply \@lines, [
    'NAME       How big   TOKEN', 'ada        3 of ada  [secret]', 'ünï [2J x  -         a [secret] b', 'NAME',
], 'columns as wide as their widest cell, no control characters, secrets hidden';

$run = run_book($book, '--json');
my @events = grep { $_->{event} eq 'say' } map { JSON::PP::decode_json($_) } split /\n/, $run->{stdout};
is_deeply $events[0]{data}, [
    { name => 'ada', size => 3, token => '[secret]', hidden => JSON::PP::true },
    { name => "ünï\e[2J\nx", token => 'a [secret] b' },
], 'programs get the rows as they are, but for secrets';
is_deeply $events[1]{data}, [], 'no rows are an empty list';
like $events[0]{text}, qr/^NAME/, 'and the text';

sub listing {
    my ($default) = @_;
    return qq(return playbook { summary = "x", params = { list("names", "subdomain", "whose", $default) },
        run = function(p) say("%d: %s", #p.names, table.concat(p.names, " ")) end });
}
like run_book(listing('{ "all" }'))->{stdout}, qr/1: all$/m, 'a list with a default may be left out';
like run_book(listing('{}'))->{stdout}, qr/0: $/m, 'also an empty one';
like run_book(listing('{ "all" }'), 'a', 'b')->{stdout}, qr/2: a b$/m, 'what is given takes its place';
like run_book(listing('{ "all" }'), '--help')->{stdout}, qr/\[NAMES \.\.\.\]/, 'the usage says so';
is run_book(listing('nil'))->{status}, 2, 'without a default one has to be given';
my $wrong = run_book(listing('"all"'));
is $wrong->{status}, 2, 'a default that is no list';
like $wrong->{stderr}, qr/its default is a list/, 'is told';

done_testing;
