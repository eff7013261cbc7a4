# A playbook of three steps for tests in which processes are killed: each writes a line into a log, with the process that
# wrote it, and its probe tells whether it has. What the log and the journal say of many such runs in the end.
package ThreeLines;
use strict;
use warnings;
use Exporter 'import';
use Test::More;

our @EXPORT = qw(each_step_once);

our @steps = qw(one two three);
our $book = <<'LUA';
local sh = require "sh"
return playbook {
    summary = "three lines in a log, each with the process that wrote it",
    params = { arg("number", "int", "which") },
    run = function(p)
        for _, name in ipairs { "one", "two", "three" } do
            local line = p.number .. " " .. name .. " "
            step(name, {
                probe = function()
                    return sh.run({ "grep", "-q", "^" .. line, "log" }, { read = true, check = false }).status == 0 or nil
                end,
            }, function()
                sh.run { "sh", "-c", 'sleep 0.05; echo "$1$(($(ps -o ppid= $PPID)))" >> log', "sh", line }
            end)
        end
    end,
}
LUA

# Tests that these runs have ended well, once, and that each of their steps is on record and happened, once.
sub each_step_once {
    my ($runs, $total) = @_;
    is $runs->query('SELECT DISTINCT status FROM runs'), 'done', 'every run ended well'
        or diag $runs->query("SELECT id, status, error FROM runs WHERE status <> 'done' LIMIT 5");
    is $runs->query("SELECT count(*) FROM (SELECT run FROM events WHERE type = 'run.end' AND status = 'done' GROUP BY run
        HAVING count(*) = 1) AS once"), $total, 'once'
        or diag $runs->query("SELECT r.id, r.attempt, e.number, e.type, e.name, e.status, e.at FROM runs r LEFT JOIN events e ON e.run = r.id
            WHERE (SELECT count(*) FROM events WHERE run = r.id AND type = 'run.end' AND status = 'done') <> 1 ORDER BY r.id, e.number");
    is $runs->query("SELECT count(*) FROM steps WHERE status = 'done'"), $total * @steps, 'every step is recorded';
    is $runs->query("SELECT count(*) FROM (SELECT run, name FROM events WHERE type = 'step.end' AND status = 'done'
        GROUP BY run, name HAVING count(*) > 1) AS twice"), 0, 'none twice';
    my (%times, %writers, @returned);
    for my $line (split /\n/, $runs->get('log')) {
        my ($number, $step, $pid) = split ' ', $line;
        $times{"$number $step"}++;
        my $writers = $writers{$number} ||= [];
        push @returned, $line if @$writers && $writers->[-1] != $pid && grep { $_ == $pid } @$writers;
        push @$writers, $pid;
    }
    is scalar(keys %times), $total * @steps, 'every step has happened';
    is_deeply [ grep { $times{$_} > 1 } sort keys %times ], [], 'none twice';
    is_deeply \@returned, [], 'none by a process whose run another one had taken over';
}

1;
