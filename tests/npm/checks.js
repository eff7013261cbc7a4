// What the scripts beside this share: each check is a line of JSON, { name, ok, detail }, for tests/unit/clients.t.
function tell(name, ok, detail) {
    console.log(JSON.stringify({ name, ok, detail: detail === undefined ? undefined : String(detail) }))
}

function same(name, got, want) {
    const [shownGot, shownWant] = [JSON.stringify(got), JSON.stringify(want)]
    tell(name, shownGot === shownWant, `got  ${shownGot}\nwant ${shownWant}`)
}

// What an HTTP client's error says, whichever client it is.
function explain(error) {
    const response = error.response || {}
    return JSON.stringify(response.data || response.body || error.message || String(error))
}

// Runs a call that has to succeed; undefined when it does not.
async function call(name, action) {
    try {
        const result = await action()
        tell(name, true)
        return result
    } catch (error) {
        tell(name, false, explain(error))
    }
}

// Runs a call that the server has to refuse with this status.
async function refused(name, status, action) {
    try {
        const result = await action()
        tell(name, false, `it was answered: ${JSON.stringify(result.data || String(result))}`)
    } catch (error) {
        const response = error.response || error
        const got = response.status || response.statusCode
        tell(name, got === status, `${got} ${explain(error)}`)
    }
}

module.exports = { call, refused, same, tell }
