/*
 * gRPC of another make (@grpc/grpc-js), as it is, a client and a server:
 *   server PORT AGE_MS    connections older than AGE_MS get a GOAWAY (0: none does); "listening"
 *   client TARGET COMMAND...   one line of JSON
 *     calls               each kind of call, with metadata both ways, and statuses
 *     stream KIND N BYTES  N messages of BYTES each: down, up, both (one after the other's echo)
 *     deadline MS, cancel  a call that nobody answers
 *     load N              N calls of each of two kinds at a time, until a line comes; {"calls": N, "errors": {TEXT: N}}
 */
"use strict";
const readline = require("readline");
const grpc = require("@grpc/grpc-js");

const same = (buffer) => buffer;
const method = (name, requestStream, responseStream) => ({
    path: `/test.Echo/${name}`, requestStream, responseStream,
    requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});
const service = {
    unary: method("Unary", false, false), down: method("Down", false, true), up: method("Up", true, false), both: method("Both", true, true),
    refuse: method("Refuse", false, false), hang: method("Hang", false, false), cancelled: method("Cancelled", false, false),
};
const LARGE = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };
const DETAILS = "a detail: 100 %, \u00e9, \n and more";

/* ---- the server ---- */

let cancelled = 0;

function metadata_back(call) {
    const back = new grpc.Metadata();
    back.set("x-heard", call.metadata.get("x-said").join());
    call.sendMetadata(back);
    const trailing = new grpc.Metadata();
    trailing.set("x-last-bin", Buffer.from([0, 1, 255]));
    return trailing;
}

const handlers = {
    unary: (call, callback) => callback(null, call.request, metadata_back(call)),
    refuse: (call, callback) => callback({ code: grpc.status.NOT_FOUND, details: DETAILS }),
    hang: (call) => {
        call.on("cancelled", () => cancelled++);
        call.sendMetadata(new grpc.Metadata());
    },
    cancelled: (call, callback) => callback(null, Buffer.from(String(cancelled))),
    up: (call, callback) => {
        let n = 0, bytes = 0;
        call.on("data", (message) => { n++; bytes += message.length; });
        call.on("end", () => callback(null, Buffer.from(`${n} ${bytes}`)));
    },
    down: async (call) => {
        const [n, bytes] = call.request.toString().split(" ").map(Number);
        for (let i = 0; i < n; i++)
            if (!call.write(Buffer.alloc(bytes, i)))
                await new Promise((done) => call.once("drain", done));
        call.end();
    },
    both: (call) => {
        call.on("data", (message) => call.write(message));
        call.on("end", () => call.end());
    },
};

function server(port, age) {
    const age_options = Number(age) ? { "grpc.max_connection_age_ms": Number(age), "grpc.max_connection_age_grace_ms": 20000 } : {};
    const it = new grpc.Server({ ...LARGE, ...age_options });
    it.addService(service, handlers);
    it.bindAsync(`0.0.0.0:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
        if (error)
            throw error;
        process.stdout.write("listening\n");
    });
}

/* ---- the client ---- */

function unary(client, name, data, metadata = new grpc.Metadata(), options = {}) {
    return new Promise((done) => {
        const result = {};
        const call = client[name](data, metadata, options, (error, answer) => { result.error = error; result.answer = answer; });
        call.on("metadata", (heard) => result.metadata = heard);
        call.on("status", (status) => done({ ...result, status }));
        if (options.begun)
            options.begun(call);
    });
}

async function calls(client) {
    const metadata = new grpc.Metadata();
    metadata.set("x-said", "hello");
    const one = await unary(client, "unary", Buffer.from("a message"), metadata);
    const refused = await unary(client, "refuse", Buffer.alloc(0));
    const none = await new Promise((done) => client.makeUnaryRequest("/test.Echo/None", same, same, Buffer.alloc(0), done));
    return {
        answer: one.answer.toString(), heard: one.metadata.get("x-heard"), last: [...one.status.metadata.get("x-last-bin")[0]],
        refused: refused.status.code, details: refused.status.details === DETAILS, none: none.code,
    };
}

async function both(client, n, bytes) {
    const call = client.both();
    let heard = 0;
    call.write(Buffer.alloc(bytes));
    for await (const message of call) {
        heard += message.length;
        if (heard < n * bytes)
            call.write(Buffer.alloc(bytes));
        else
            call.end();
    }
    return { bytes: heard };
}

async function stream(client, kind, n, bytes) {
    if (kind === "both")
        return both(client, n, bytes);
    if (kind === "down") {
        let heard = 0;
        for await (const message of client.down(Buffer.from(`${n} ${bytes}`)))
            heard += message.length;
        return { bytes: heard };
    }
    return new Promise((done, failed) => {
        const call = client.up((error, answer) => error ? failed(error) : done({ bytes: Number(answer.toString().split(" ")[1]) }));
        (async () => {
            for (let i = 0; i < n; i++)
                if (!call.write(Buffer.alloc(bytes, i)))
                    await new Promise((more) => call.once("drain", more));
            call.end();
        })();
    });
}

/* What became of a call that nobody answers, when the server has seen it end. */
async function unanswered(client, options) {
    const seen = async () => Number((await unary(client, "cancelled", Buffer.alloc(0))).answer);
    const before = await seen();
    const { status } = await unary(client, "hang", Buffer.alloc(0), new grpc.Metadata(), options());
    while (await seen() === before)
        ;
    return { code: grpc.status[status.code], cancelled: await seen() - before };
}

async function load(client, n) {
    const result = { calls: 0, errors: {} };
    let over = false;
    readline.createInterface({ input: process.stdin }).once("line", () => over = true);
    const note = (error) => {
        result.calls++;
        if (error)
            result.errors[`${error.code} ${error.details}`] = (result.errors[`${error.code} ${error.details}`] || 0) + 1;
        if (result.calls === n)
            process.stdout.write("begun\n");
    };
    const loop = async (one) => {
        while (!over)
            await one().then(() => note(), note);
    };
    const plain = async () => {
        const { error } = await unary(client, "unary", Buffer.alloc(100));
        if (error)
            throw error;
    };
    await Promise.all(Array.from({ length: 2 * n }, (_, i) => loop(i % 2 ? plain : () => both(client, 10, 1000))));
    return result;
}

async function client(target, command, ...words) {
    const Client = grpc.makeGenericClientConstructor(service, "test.Echo");
    const it = new Client(target, grpc.credentials.createInsecure(), LARGE);
    const numbers = words.slice(1).map(Number);
    const result = command === "calls" ? await calls(it)
        : command === "stream" ? await stream(it, words[0], ...numbers)
        : command === "deadline" ? await unanswered(it, () => ({ deadline: Date.now() + Number(words[0]) }))
        : command === "cancel" ? await unanswered(it, () => ({ begun: (call) => call.on("metadata", () => call.cancel()) }))
        : await load(it, Number(words[0]));
    process.stdout.write(JSON.stringify(result) + "\n");
    process.exit(0);
}

const [command, ...words] = process.argv.slice(2);
({ server, client })[command](...words);
