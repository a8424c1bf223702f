/*
 * What a route asks of a request (Envoy's RouteMatch): everything that is said must hold. Values of
 * a route table's arena; immutable once the table is finished.
 */
#ifndef SHARED_MESH_ROUTE_MATCH_H
#define SHARED_MESH_ROUTE_MATCH_H
#include "shared/mesh/text_match.h"

struct http_head;

/* Paths are compared without the query. */
enum path_match_kind {
    PATH_PREFIX,    /* of bytes: /foo takes /foobar */
    PATH_EXACT,     /* the whole path */
    PATH_SEPARATED, /* /foo takes /foo and /foo/..., and not /foobar */
    PATH_REGEX      /* the whole path */
};
struct path_match {
    enum path_match_kind kind;
    bool ignore_case; /* not for a regex */
    struct text value;
    const struct regex *regex; /* made by route_table_finish() */
};

/* Several fields of one name are compared as one, joined by "," (as Envoy does). A field that isn't
 * there fits no text or range, inverted or not, unless missing_is_empty. */
enum header_match_kind { HEADER_TEXT, HEADER_PRESENT, HEADER_ABSENT, HEADER_RANGE };
struct header_match {
    struct text name; /* lower case; or :method, :path (with the query), :authority, :scheme */
    enum header_match_kind kind;
    bool invert, missing_is_empty;
    struct text_match text;         /* HEADER_TEXT */
    int64_t range_start, range_end; /* HEADER_RANGE: a decimal number, start <= it < end */
};

/* 1, 0; -ENOMEM: nobody knows, so that what depends on it is not to be decided. */
int header_fits(const struct header_match *m, const struct http_head *head);

/* The first parameter of the name counts, as it stands (not decoded). */
enum query_match_kind { QUERY_TEXT, QUERY_PRESENT, QUERY_ABSENT };
struct query_match {
    struct text name;
    enum query_match_kind kind;
    struct text_match text; /* QUERY_TEXT */
};

/* Who asks: what Istio's sourceLabels and sourceNamespace speak of. On the wire it rides in
 * dynamic_metadata of the filter "weir.source". */
struct source_match {
    struct text ns;       /* "": any */
    struct label *labels; /* all of them */
    size_t n_labels;
};

struct route_match {
    struct path_match path; /* PATH_PREFIX of "": every path */
    struct header_match *headers;
    size_t n_headers;
    struct query_match *queries;
    size_t n_queries;
    struct source_match source;
    bool grpc; /* only requests with content-type application/grpc */
    bool some; /* only the fraction of them */
    struct fraction fraction;
};

/* A request as routes see it: views that the caller keeps. */
struct route_request {
    const struct http_head *head;
    struct text source_ns;
    const struct label *source_labels;
    size_t n_source_labels;
    uint32_t now_s;  /* Unix time: sessions end by it */
    uint64_t random; /* one for the whole request: fractions and weights */
};
#endif
