// A web server on Node's own http module: says in JSON what it was asked. Usage: node echo.js ADDRESS
const http = require('http')

function answer(request, response) {
    const parts = []
    request.on('data', part => parts.push(part))
    request.on('end', () => {
        const body = Buffer.concat(parts)
        const text = JSON.stringify({
            method: request.method, url: request.url, version: request.httpVersion, headers: request.headers,
            length: body.length, body: body.length < 1000 ? body.toString() : body.subarray(-20).toString(),
        })
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) })
        response.end(request.method === 'HEAD' ? undefined : text)
    })
}

http.createServer(answer).listen(8080, process.argv[2])
