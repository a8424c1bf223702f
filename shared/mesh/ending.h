/*
 * Why a connection, a stream or a request ended: the one list. It feeds the access log (name), the
 * metric label response_flags (flag, Istio's words where it has one), the HBONE answer (status; 0:
 * the connection is reset or closed) and docs/ENDINGS.md. Nothing ends without one.
 */
#ifndef SHARED_MESH_ENDING_H
#define SHARED_MESH_ENDING_H

#define ENDINGS(X)                                                                                 \
    /* name, log text, flag, HBONE status, what it means */                                        \
    X(NONE, "none", "-", 0, "still living")                                                        \
    X(CLOSED, "closed", "-", 200, "both sides finished")                                           \
    X(RESET_BY_CLIENT, "reset by client", "-", 0, "the side that opened it reset it")              \
    X(RESET_BY_SERVER, "reset by server", "-", 0, "the side that it was opened to reset it")       \
    X(DENIED, "denied by policy", "DENY", 401,                                                     \
      "an authorization policy refused it; the log names it")                                      \
    X(POLICY_CHANGED, "policy changed", "DENY", 0,                                                 \
      "it lived, and a new policy no longer allows it")                                            \
    X(IDENTITY_CHANGED, "identity changed", "IDENTITY_ERROR", 0,                                   \
      "it lived, and one of its ends is another workload now")                                     \
    X(TRUST_CHANGED, "trust changed", "TLS_FAILURE", 0,                                            \
      "it lived, and the root that its peer leads to is no longer trusted")                        \
    X(REVOKED, "revoked", "TLS_FAILURE", 0,                                                        \
      "the identity or the certificate of one of its ends was revoked")                            \
    X(CERTIFICATE_EXPIRED, "certificate expired", "TLS_FAILURE", 0,                                \
      "it lived longer than the certificate of its peer")                                          \
    X(UNKNOWN_SOURCE, "unknown source", "IDENTITY_ERROR", 503,                                     \
      "the workload that opened it is not in the directory yet")                                   \
    X(NO_IDENTITY, "no certificate", "IDENTITY_ERROR", 503,                                        \
      "the workload has no valid certificate (is the CA reachable?)")                              \
    X(PEER_UNTRUSTED, "peer not trusted", "TLS_FAILURE", 0, "the peer's certificate was refused")  \
    X(PEER_MISMATCH, "peer has another identity", "IDENTITY_ERROR", 0,                             \
      "the peer proved an identity that is not the destination's")                                 \
    X(BAD_AUTHORITY, "bad authority", "-", 400,                                                    \
      "CONNECT authority is malformed or not this workload's address")                             \
    X(OWN_PORT, "own port", "-", 400, "a call to a port of the proxy itself: a loop")              \
    X(NOT_CAPTURED, "not redirected", "-", 0, "a direct connection to a capture port")             \
    X(NO_ENDPOINT, "no healthy endpoint", "CONNECT", 503,                                          \
      "the service is known and has no endpoint that may be used")                                 \
    X(BLACK_HOLE, "not in the registry", "UH", 0,                                                  \
      "the workload may connect only to what it sees of the mesh (REGISTRY_ONLY), and this is none") \
    X(UNREACHABLE, "unreachable", "CONNECT", 503, "connecting to the destination failed")          \
    X(NO_PORT, "no port", "CONNECT", 503,                                                          \
      "no port of the client's address was free towards the application")                          \
    X(CONNECT_TIMEOUT, "connect timeout", "CONNECT", 503,                                          \
      "connecting to the destination took too long")                                               \
    X(TUNNEL_FAILED, "tunnel failed", "CONNECT", 503,                                              \
      "the tunnel to the destination's node could not be made or broke")                           \
    X(TUNNEL_REFUSED, "tunnel refused", "CONNECT", 503,                                            \
      "the other side answered CONNECT with an error")                                             \
    X(TLS_FAILED, "tls failed", "TLS_FAILURE", 0, "the handshake failed")                          \
    X(HANDSHAKE_TIMEOUT, "handshake timeout", "TLS_FAILURE", 0, "the handshake took too long")     \
    X(PROTOCOL, "protocol error", "H2_HANDSHAKE_FAILURE", 0, "the peer broke HTTP/2")              \
    X(BAD_REQUEST, "bad request", "DPE", 400,                                                      \
      "a request that is malformed, ambiguous, or asks for what is not done here")                 \
    X(BAD_ANSWER, "bad answer", "UPE", 502, "the server's answer was malformed")                   \
    X(ANSWER_TIMEOUT, "answer timeout", "UT", 504, "the server took too long to answer")           \
    X(NO_ROUTE, "no route", "NR", 404, "no rule of the routes of what was called takes the request") \
    X(MISDIRECTED, "misdirected", "NR", 503, "a request for another host than its client's TLS was for") \
    X(LOOP, "loop", "NR", 503, "a request came through too many Gateways, whose routes lead in a circle") \
    X(NO_LISTENER, "no listener", "NR", 503,                                                      \
      "a port of a Gateway's listener that is not served, or not yet")                             \
    X(NO_BACKEND, "no backend", "NC", 500, "its route leads to a service that is not there")       \
    X(NOT_DONE, "not done here", "NR", 500,                                                        \
      "its route asks for something that this proxy does not do; the log names it")                \
    X(OVERFLOW, "overflow", "UO", 503,                                                             \
      "a circuit breaker of what its route leads to was at its limit")                             \
    X(DURATION, "stream too long", "DT", 408, "it took longer than its route lets a stream take")  \
    X(FAULT, "fault injected", "FI", 503, "its route says that it is to fail")                     \
    X(IDLE_TIMEOUT, "idle timeout", "-", 0, "no byte either way for longer than allowed")          \
    X(LIMIT, "limit reached", "-", 503, "a bound of the workload or of the node was reached")      \
    X(NO_MEMORY, "out of memory", "-", 503, "memory or buffers ran out")                           \
    X(DRAINED, "drained", "-", 0, "the proxy shut down and the deadline passed")                   \
    X(WORKLOAD_GONE, "workload gone", "-", 0, "the local workload was removed")                    \
    X(IO, "input/output error", "-", 0, "the operating system reported an error")

enum ending {
#define X(name, text, flag, status, meaning) ENDING_##name,
    ENDINGS(X)
#undef X
        ENDING_COUNT
};
const char *ending_text(enum ending e);
const char *ending_flag(enum ending e);      /* label response_flags */
unsigned ending_hbone_status(enum ending e); /* 0: no answer is possible */
const char *ending_meaning(enum ending e);
#endif
