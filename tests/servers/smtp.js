// A mail server on Nodemailer's smtp-server, STARTTLS on port 2525 and TLS on port 4650: takes what postman sends, and
// says in its answer what name the client gave itself. Usage: node smtp.js ADDRESS FOLDER
const fs = require('fs')
const { SMTPServer } = require('smtp-server')

const [address, folder] = process.argv.slice(2)

function refusal(code, text) {
    return Object.assign(new Error(text), { responseCode: code })
}

const settings = {
    key: fs.readFileSync(folder + '/server.key'),
    cert: fs.readFileSync(folder + '/server.pem'),
    name: 'tests.example.com',
    onAuth(login, session, done) {
        const known = login.username === 'postman' && login.password === 'correct horse battery'
        done(known ? null : refusal(535, 'no such login'), known ? { user: 'postman' } : undefined)
    },
    onRcptTo(recipient, session, done) {
        done(recipient.address.startsWith('nobody@') ? refusal(550, 'no such user here') : null)
    },
    onData(stream, session, done) {
        stream.resume()
        stream.on('end', () => done(null, 'taken from ' + session.hostNameAppearsAs))
    },
}

for (const [port, secure] of [[2525, false], [4650, true]]) {
    const server = new SMTPServer({ ...settings, secure })
    server.on('error', problem => console.error(problem.message)) // a client that hung up, mostly
    server.listen(port, address)
}
