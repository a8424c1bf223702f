#include "shared/xds/route_codec.h"
#include "shared/xds/routing.h"

typedef Envoy__Config__Route__V3__RouteMatch Match;
typedef Envoy__Config__Route__V3__HeaderMatcher HeaderMatcher;
typedef Envoy__Config__Route__V3__QueryParameterMatcher QueryMatcher;
typedef Envoy__Type__Matcher__V3__RegexMatcher Regex;
typedef Envoy__Type__Matcher__V3__MetadataMatcher MetadataMatcher;

#define RDS(name)   envoy__config__route__v3__##name##__descriptor
#define CORE(name)  envoy__config__core__v3__##name##__descriptor
#define MATCH(name) envoy__type__matcher__v3__##name##__descriptor

Regex *encode_regex(struct writer *w, struct text source)
{
    Regex *m = encode_message(w, &MATCH(regex_matcher));
    if (m)
        m->regex = encode_text(w, source);
    return m;
}

static HeaderMatcher *encode_header_match(struct writer *w, const struct header_match *from)
{
    HeaderMatcher *m = encode_message(w, &RDS(header_matcher));
    if (!m)
        return NULL;
    m->name = encode_text(w, from->name);
    m->invert_match = from->invert;
    m->treat_missing_header_as_empty = from->missing_is_empty;
    switch (from->kind) {
    case HEADER_TEXT:
        m->header_match_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_STRING_MATCH;
        m->string_match = encode_string_match(w, &from->text);
        break;
    case HEADER_PRESENT:
    case HEADER_ABSENT:
        m->header_match_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PRESENT_MATCH;
        m->present_match = from->kind == HEADER_PRESENT;
        break;
    case HEADER_RANGE:
        m->header_match_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_RANGE_MATCH;
        if ((m->range_match = encode_message(w, &envoy__type__v3__int64_range__descriptor))) {
            m->range_match->start = from->range_start;
            m->range_match->end = from->range_end;
        }
        break;
    }
    return m;
}

HeaderMatcher **encode_header_matches(struct writer *w, const struct header_match *from, size_t n)
{
    HeaderMatcher **list = encode_list(w, n, sizeof *list);
    for (size_t i = 0; list && i < n; i++)
        if (!(list[i] = encode_header_match(w, &from[i])))
            return NULL;
    return list;
}

static QueryMatcher *encode_query_match(struct writer *w, const struct query_match *from)
{
    QueryMatcher *m = encode_message(w, &RDS(query_parameter_matcher));
    if (!m)
        return NULL;
    m->name = encode_text(w, from->name);
    if (from->kind == QUERY_TEXT) {
        m->query_parameter_match_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_STRING_MATCH;
        m->string_match = encode_string_match(w, &from->text);
    } else {
        m->query_parameter_match_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_PRESENT_MATCH;
        m->present_match = from->kind == QUERY_PRESENT;
    }
    return m;
}

/* weir.source: the value at this path is exactly that. */
static MetadataMatcher *encode_source(struct writer *w, const char *key, struct text name,
                                      struct text value)
{
    typedef Envoy__Type__Matcher__V3__MetadataMatcher__PathSegment Segment;
    const struct text path[] = {text_of(key), name};
    const struct text_match exact = {.kind = TEXT_EXACT, .value = value};
    size_t n = name.data ? 2 : 1;
    MetadataMatcher *m = encode_message(w, &MATCH(metadata_matcher));
    Segment **list = encode_list(w, n, sizeof *list);
    if (!m || !list || !(m->value = encode_message(w, &MATCH(value_matcher))))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (!(list[i] = encode_message(w, &MATCH(metadata_matcher__path_segment))))
            return NULL;
        list[i]->segment_case =
            ENVOY__TYPE__MATCHER__V3__METADATA_MATCHER__PATH_SEGMENT__SEGMENT_KEY;
        list[i]->key = encode_text(w, path[i]);
    }
    m->filter = encode_text(w, TEXT(XDS_SOURCE_METADATA));
    m->path = list;
    m->n_path = n;
    m->value->match_pattern_case =
        ENVOY__TYPE__MATCHER__V3__VALUE_MATCHER__MATCH_PATTERN_STRING_MATCH;
    m->value->string_match = encode_string_match(w, &exact);
    return m;
}

static void encode_sources(struct writer *w, const struct source_match *from, Match *m)
{
    size_t n = 0, size = from->n_labels + (from->ns.len > 0);
    MetadataMatcher **list = encode_list(w, size, sizeof *list);
    if (!list)
        return;
    if (from->ns.len)
        list[n++] = encode_source(w, "namespace", (struct text){NULL, 0}, from->ns);
    for (size_t i = 0; i < from->n_labels; i++)
        list[n++] = encode_source(w, "labels", from->labels[i].name, from->labels[i].value);
    m->dynamic_metadata = list;
    m->n_dynamic_metadata = n;
}

Match *encode_match(struct writer *w, const struct route_match *from)
{
    Match *m = encode_message(w, &RDS(route_match));
    QueryMatcher **queries = encode_list(w, from->n_queries, sizeof *queries);
    if (!m || (from->n_queries && !queries))
        return NULL;
    switch (from->path.kind) {
    case PATH_PREFIX:
        m->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX;
        m->prefix = encode_text(w, from->path.value);
        break;
    case PATH_EXACT:
        m->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH;
        m->path = encode_text(w, from->path.value);
        break;
    case PATH_SEPARATED:
        m->path_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH_SEPARATED_PREFIX;
        m->path_separated_prefix = encode_text(w, from->path.value);
        break;
    case PATH_REGEX:
        m->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_SAFE_REGEX;
        m->safe_regex = encode_regex(w, from->path.value);
        break;
    }
    if (from->path.ignore_case)
        m->case_sensitive = encode_bool(w, false);
    m->headers = encode_header_matches(w, from->headers, from->n_headers);
    m->n_headers = from->n_headers;
    for (size_t i = 0; i < from->n_queries; i++)
        if (!(queries[i] = encode_query_match(w, &from->queries[i])))
            return NULL;
    m->query_parameters = queries;
    m->n_query_parameters = from->n_queries;
    if (from->grpc)
        m->grpc = encode_message(w, &RDS(route_match__grpc_route_match_options));
    if (from->some && (m->runtime_fraction = encode_message(w, &CORE(runtime_fractional_percent))))
        m->runtime_fraction->default_value = encode_fraction(w, from->fraction);
    encode_sources(w, &from->source, m);
    return m;
}
