-- Where a debugger takes part in a run. While nobody debugs, the functions are nil and a run goes past them.
return {
    --- failed_step(work, err) -> what to do about a step that has failed, and is recorded so: nil lets the error go on;
    --- { retry = true, new? }, new as edited.step returns it; { skip = true, value }.
    failed_step = nil,
    --- failed(err): an item of an each, or the playbook, has failed.
    failed = nil,
    --- pause(work): a step is about to begin; returns when it may.
    pause = nil,
    --- before_step(work, row) -> the same, or nil to let it begin: a step that is not done is about to; row is what is
    --- recorded of an earlier attempt at it.
    before_step = nil,
    --- Set by --debug: breakpoint() stops in every mode, and also where the input is a pipe.
    breakpoints = false,
    --- What is run, see execution.run.
    run = nil,
    --- The task that goes through the playbook, and the error to end the run with when a person has aborted it.
    body = nil, aborted = nil,
    --- "kept" or "latest": when the end of the run is recorded, it is to begin again with these texts.
    again = nil,
}
