#include "shared/xds/route_codec.h"
#include "shared/xds/routing.h"

typedef Envoy__Config__Route__V3__RouteMatch Match;
typedef Envoy__Config__Route__V3__HeaderMatcher HeaderMatcher;
typedef Envoy__Config__Route__V3__QueryParameterMatcher QueryMatcher;
typedef Envoy__Type__Matcher__V3__MetadataMatcher MetadataMatcher;

#define PATH(name)   ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_##name
#define HEADER(name) ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_##name

static int decode_path(struct reader *r, const struct place *at, const Match *from,
                       struct path_match *ret)
{
    const char *value;
    switch (from->path_specifier_case) {
    case PATH(PREFIX):
        ret->kind = PATH_PREFIX;
        value = from->prefix;
        break;
    case PATH(PATH):
        ret->kind = PATH_EXACT;
        value = from->path;
        break;
    case PATH(PATH_SEPARATED_PREFIX):
        ret->kind = PATH_SEPARATED;
        value = from->path_separated_prefix;
        break;
    case PATH(SAFE_REGEX):
        ret->kind = PATH_REGEX;
        value = from->safe_regex->regex;
        break;
    default:
        return place_refuse(at, r->why, "says no path");
    }
    /* For a regex it says nothing in Envoy either. */
    ret->ignore_case =
        from->case_sensitive && !from->case_sensitive->value && ret->kind != PATH_REGEX;
    return decode_text(r, value, &ret->value);
}

/* The older fields of a header's text. */
static int decode_header_text(struct reader *r, const struct place *at, const HeaderMatcher *from,
                              struct text_match *ret)
{
    switch ((int)from->header_match_specifier_case) {
    case HEADER(STRING_MATCH):
        return decode_string_match(r, AT(at, "string_match"), from->string_match, ret);
    case HEADER(EXACT_MATCH):
        ret->kind = TEXT_EXACT;
        return decode_text(r, from->exact_match, &ret->value);
    case HEADER(PREFIX_MATCH):
        ret->kind = TEXT_PREFIX;
        return decode_text(r, from->prefix_match, &ret->value);
    case HEADER(SUFFIX_MATCH):
        ret->kind = TEXT_SUFFIX;
        return decode_text(r, from->suffix_match, &ret->value);
    case HEADER(CONTAINS_MATCH):
        ret->kind = TEXT_CONTAINS;
        return decode_text(r, from->contains_match, &ret->value);
    default:
        ret->kind = TEXT_REGEX;
        return decode_text(r, from->safe_regex_match->regex, &ret->value);
    }
}

static int decode_header_match(struct reader *r, const struct place *at, const HeaderMatcher *from,
                               struct header_match *ret)
{
    int e = decode_text(r, from->name, &ret->name);
    if (e < 0)
        return e;
    ret->invert = from->invert_match;
    ret->missing_is_empty = from->treat_missing_header_as_empty;
    switch (from->header_match_specifier_case) {
    case HEADER(_NOT_SET):
        ret->kind = HEADER_PRESENT;
        return 0;
    case HEADER(PRESENT_MATCH):
        ret->kind = from->present_match ? HEADER_PRESENT : HEADER_ABSENT;
        return 0;
    case HEADER(RANGE_MATCH):
        ret->kind = HEADER_RANGE;
        ret->range_start = from->range_match->start;
        ret->range_end = from->range_match->end;
        return 0;
    default:
        ret->kind = HEADER_TEXT;
        return decode_header_text(r, at, from, &ret->text);
    }
}

int decode_header_matches(struct reader *r, const struct place *at, HeaderMatcher *const *from,
                          size_t n, struct header_match **ret, size_t *ret_n)
{
    int e = decode_list(r, at, n, ROUTE_MATCHES_MAX, sizeof **ret, (void **)ret);
    for (size_t i = 0; i < n && e == 0; i++)
        e = decode_header_match(r, &(const struct place){at->in, at->name, i}, from[i], &(*ret)[i]);
    if (e == 0)
        *ret_n = n;
    return e;
}

static int decode_query(struct reader *r, const struct place *at, const QueryMatcher *from,
                        struct query_match *ret)
{
    int e = decode_text(r, from->name, &ret->name);
    if (e < 0)
        return e;
    if (from->query_parameter_match_specifier_case ==
        ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_STRING_MATCH) {
        ret->kind = QUERY_TEXT;
        return decode_string_match(r, AT(at, "string_match"), from->string_match, &ret->text);
    }
    bool absent =
        from->query_parameter_match_specifier_case ==
            ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_PRESENT_MATCH &&
        !from->present_match;
    ret->kind = absent ? QUERY_ABSENT : QUERY_PRESENT;
    return 0;
}

/* One condition of weir.source; any other filter's metadata does not exist here. */
static int decode_source(struct reader *r, const struct place *at, const MetadataMatcher *from,
                         struct source_match *ret)
{
    const char *keys[2] = {"", ""};
    if (strcmp(from->filter, XDS_SOURCE_METADATA) != 0)
        return place_refuse(AT(at, "filter"), r->why, "'%.100s' is not supported here",
                            from->filter);
    if (!from->value ||
        from->value->match_pattern_case !=
            ENVOY__TYPE__MATCHER__V3__VALUE_MATCHER__MATCH_PATTERN_STRING_MATCH ||
        from->value->string_match->match_pattern_case !=
            ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_EXACT ||
        from->value->string_match->ignore_case)
        return place_refuse(AT(at, "value"), r->why, "must be string_match.exact");
    for (size_t i = 0; i < from->n_path && i < 2; i++)
        if (from->path[i]->segment_case ==
            ENVOY__TYPE__MATCHER__V3__METADATA_MATCHER__PATH_SEGMENT__SEGMENT_KEY)
            keys[i] = from->path[i]->key;
    const char *value = from->value->string_match->exact;
    if (from->n_path == 1 && strcmp(keys[0], "namespace") == 0 && !ret->ns.len)
        return decode_text(r, value, &ret->ns);
    if (from->n_path != 2 || strcmp(keys[0], "labels") != 0)
        return place_refuse(AT(at, "path"), r->why,
                            "must be namespace, once, or labels and a label's name");
    struct label *label = &ret->labels[ret->n_labels++];
    int e = decode_text(r, keys[1], &label->name);
    return e == 0 ? decode_text(r, value, &label->value) : e;
}

static int decode_sources(struct reader *r, const struct place *at, const Match *from,
                          struct source_match *ret)
{
    int e = decode_list(r, AT(at, "dynamic_metadata"), from->n_dynamic_metadata, ROUTE_MATCHES_MAX,
                        sizeof *ret->labels, (void **)&ret->labels);
    for (size_t i = 0; i < from->n_dynamic_metadata && e == 0; i++)
        e = decode_source(r, AT_I(at, "dynamic_metadata", i), from->dynamic_metadata[i], ret);
    return e;
}

int decode_match(struct reader *r, const struct place *at, const Match *from,
                 struct route_match *ret)
{
    int e;
    if (!from)
        return place_refuse(at, r->why, "is missing");
    if ((e = decode_path(r, at, from, &ret->path)) < 0 ||
        (e = decode_header_matches(r, AT(at, "headers"), from->headers, from->n_headers,
                                   &ret->headers, &ret->n_headers)) < 0 ||
        (e = decode_sources(r, at, from, &ret->source)) < 0 ||
        (e = decode_list(r, AT(at, "query_parameters"), from->n_query_parameters, ROUTE_MATCHES_MAX,
                         sizeof *ret->queries, (void **)&ret->queries)) < 0)
        return e;
    ret->n_queries = from->n_query_parameters;
    for (size_t i = 0; i < ret->n_queries && e == 0; i++)
        e = decode_query(r, AT_I(at, "query_parameters", i), from->query_parameters[i],
                         &ret->queries[i]);
    ret->grpc = from->grpc != NULL;
    if (e == 0 && from->runtime_fraction) {
        ret->some = true;
        e = decode_fraction(r, AT(at, "runtime_fraction.default_value"),
                            from->runtime_fraction->default_value, &ret->fraction);
    }
    return e;
}
