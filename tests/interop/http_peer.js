/*
 * HTTP by Node.js, both versions, and WebSocket by `ws`:
 *   server PORT1 PORT2          HTTP/1.1 and WebSocket at PORT1, HTTP/2 without TLS at PORT2: /echo says what it hears as it hears it,
 *                               /gather?N answers when N requests are there, /endless says zeros until it is left; "listening"
 *   streams URL N               N requests at once on one connection of HTTP/2; "N answered at once"
 *   turns VERSION URL N         one byte of a request, and the next one when its echo has come, N times; "N turns"
 *   left VERSION URL            reads a mebibyte of an answer, then nothing until a line comes on the standard input; "stopped", "left"
 *   websocket URL               texts and binary messages, small and large, each echoed, and the end; "closed 1000 bye"
 */
"use strict";
const http = require("http");
const http2 = require("http2");
const readline = require("readline");
const WebSocket = require("ws");

const say = (text) => process.stdout.write(text + "\n");
const MIB = 1 << 20;

/* ---- the server ---- */

let gathered = [];

function gather(n, response) {
    gathered.push(response);
    if (gathered.length < n)
        return;
    for (const each of gathered)
        each.end("gathered");
    gathered = [];
}

function endless(response) {
    const zeros = Buffer.alloc(65536);
    const more = () => {
        while (!response.destroyed && response.write(zeros))
            ;
    };
    response.on("drain", more);
    response.on("error", () => {});
    more();
}

function serve(request, response) {
    const [path, query] = request.url.split("?");
    if (path === "/echo") {
        response.writeHead(200, { "content-type": "application/octet-stream" });
        if (response.flushHeaders)
            response.flushHeaders();
        request.pipe(response);
    } else if (path === "/gather") {
        gather(Number(query), response);
    } else if (path === "/endless") {
        endless(response);
    } else {
        response.setHeader("content-type", "text/plain");
        response.end(`HTTP/${request.httpVersion} by Node\n`);
    }
}

async function server(port1, port2) {
    const one = http.createServer(serve);
    new WebSocket.Server({ server: one }).on("connection", (socket) =>
        socket.on("message", (data, binary) => socket.send(data, { binary })));
    const two = http2.createServer({ settings: { maxConcurrentStreams: 1000 } }, serve);
    await new Promise((done) => one.listen(Number(port1), done));
    await new Promise((done) => two.listen(Number(port2), done));
    say("listening");
}

/* ---- the clients ---- */

/* A request whose body is still to come: {sends, hears}. */
function open(version, url, method) {
    const to = new URL(url);
    if (version === "2") {
        const session = http2.connect(to.origin);
        const stream = session.request({ ":method": method, ":path": to.pathname + to.search }, { endStream: method === "GET" });
        stream.on("close", () => session.close());
        return { sends: stream, hears: new Promise((done) => stream.on("response", () => done(stream))) };
    }
    const request = http.request(to, { method });
    request.flushHeaders();
    if (method === "GET")
        request.end();
    return { sends: request, hears: new Promise((done, failed) => request.on("response", done).on("error", failed)) };
}

async function streams(url, n) {
    const to = new URL(url);
    const session = http2.connect(to.origin, { peerMaxConcurrentStreams: Number(n) });
    await new Promise((done) => session.once("remoteSettings", done));
    const one = () => new Promise((done, failed) => {
        let text = "";
        const stream = session.request({ ":path": to.pathname + to.search });
        stream.setEncoding("utf8").on("data", (part) => text += part).on("end", () => done(text)).on("error", failed);
    });
    const answers = await Promise.all(Array.from({ length: Number(n) }, one));
    session.close();
    say(`${answers.filter((text) => text === "gathered").length} answered at once`);
}

async function turns(version, url, n) {
    const { sends, hears } = open(version, url, "POST");
    let i = 0;
    sends.write(Buffer.from([i]));
    for await (const part of await hears) {
        if (part.length !== 1 || part[0] !== i % 256)
            throw new Error(`turn ${i}: ${part.length} bytes came, ${part[0]}`);
        if (++i === Number(n))
            sends.end();
        else
            sends.write(Buffer.from([i % 256]));
    }
    say(`${i} turns`);
}

async function left(version, url) {
    const answer = await open(version, url, "GET").hears;
    let read = 0;
    await new Promise((done) => answer.on("data", (part) => {
        read += part.length;
        if (read >= MIB) {
            answer.pause();
            done();
        }
    }));
    say("stopped");
    await new Promise((done) => readline.createInterface({ input: process.stdin }).once("line", done));
    say("left");
    process.exit(0);
}

async function websocket(url) {
    const socket = new WebSocket(url);
    const messages = ["", "a text", "\u00e9\u4e2d\ud83d\ude00", Buffer.alloc(1), Buffer.alloc(200, 7), Buffer.alloc(4 * MIB, 9)];
    await new Promise((done) => socket.once("open", done));
    for (const message of messages) {
        socket.send(message);
        const [data, binary] = await new Promise((done) => socket.once("message", (...heard) => done(heard)));
        if (binary !== Buffer.isBuffer(message) || !data.equals(Buffer.from(message)))
            throw new Error(`of ${message.length} came ${data.length}`);
    }
    socket.close(1000, "bye");
    const [code, reason] = await new Promise((done) => socket.once("close", (...how) => done(how)));
    say(`closed ${code} ${reason}`);
}

const [command, ...words] = process.argv.slice(2);
({ server, streams, turns, left, websocket })[command](...words).catch((error) => {
    say(`failed: ${error.stack}`);
    process.exit(1);
});
