/*
 * gRPC servers and a proxyless client of another make (@grpc/grpc-js, @grpc/grpc-js-xds), which do what
 * lines on the standard input say, and answer each with a line of JSON:
 *   serve NAME ADDRESS       a server that answers each call with its name; {"port": N}
 *   stop NAME
 *   call TARGET N [NAME=VALUE]  N calls one after the other, with a header; {"answers": {NAME: N}, "errors": {TEXT: N}}
 *   close TARGET             forgets the channel
 */
"use strict";
const readline = require("readline");
const grpc = require("@grpc/grpc-js");
require("@grpc/grpc-js-xds").register();

const DEADLINE_MS = 10000;
const same = (buffer) => buffer;
const service = {
    who: {
        path: "/test.Cart/Who", requestStream: false, responseStream: false,
        requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
    },
};
const Client = grpc.makeGenericClientConstructor(service, "test.Cart");
const servers = new Map();
const clients = new Map();

function serve(name, address) {
    const server = new grpc.Server();
    server.addService(service, { who: (call, callback) => callback(null, Buffer.from(name)) });
    servers.set(name, server);
    return new Promise((resolve, reject) => server.bindAsync(address, grpc.ServerCredentials.createInsecure(),
        (error, port) => error ? reject(error) : resolve({ port })));
}

function stop(name) {
    servers.get(name).forceShutdown();
    return {};
}

function one(client, metadata) {
    return new Promise((resolve) => client.who(Buffer.alloc(0), metadata, { deadline: Date.now() + DEADLINE_MS },
        (error, answer) => resolve({ error, answer })));
}

async function call(target, n, header) {
    const result = { answers: {}, errors: {} };
    const metadata = new grpc.Metadata();
    if (header)
        metadata.set(...header.split("="));
    if (!clients.has(target))
        clients.set(target, new Client(target, grpc.credentials.createInsecure()));
    for (let i = 0; i < n; i++) {
        const { error, answer } = await one(clients.get(target), metadata);
        const kind = error ? result.errors : result.answers;
        const key = error ? `${grpc.status[error.code]}: ${error.details}` : answer.toString();
        kind[key] = (kind[key] || 0) + 1;
    }
    return result;
}

function close(target) {
    clients.get(target).close();
    clients.delete(target);
    return {};
}

async function obey(words) {
    switch (words[0]) {
    case "serve": return serve(words[1], words[2]);
    case "stop": return stop(words[1]);
    case "call": return call(words[1], Number(words[2]), words[3]);
    case "close": return close(words[1]);
    default: throw new Error(`what is ${words[0]}?`);
    }
}

async function main() {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const answer = await obey(line.split(" ")).catch((error) => ({ failed: String(error) }));
        process.stdout.write(JSON.stringify(answer) + "\n");
    }
    process.exit(0);
}
main();
