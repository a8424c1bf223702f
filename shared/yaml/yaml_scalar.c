#include "shared/yaml/yaml_scalar.h"
#include "shared/base/list.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static bool is_one_of(struct text t, const char *const words[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text_equal(t, text_of(words[i])))
            return true;
    return false;
}

static bool is_null(struct text t)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    return is_one_of(t, words, ARRAY_SIZE(words));
}

static bool as_bool(struct text t, bool *ret)
{
    static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False",
                                                                              "FALSE"};

    if (is_one_of(t, yes, ARRAY_SIZE(yes)))
        *ret = true;
    else if (is_one_of(t, no, ARRAY_SIZE(no)))
        *ret = false;
    else
        return false;
    return true;
}

static size_t digits(const char *s, const char *allowed)
{
    return strspn(s, allowed);
}

/* [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+; *ret_base is what strtoll needs. */
static bool is_integer(const char *s, const char **ret_digits, int *ret_base)
{
    bool hex = s[0] == '0' && s[1] == 'x', octal = s[0] == '0' && s[1] == 'o';
    const char *from = hex || octal ? s + 2 : s[0] == '-' || s[0] == '+' ? s + 1 : s;
    size_t n = digits(from, hex ? "0123456789abcdefABCDEF" : octal ? "01234567" : "0123456789");

    *ret_digits = hex || octal ? from : s;
    *ret_base = hex ? 16 : octal ? 8 : 10;
    return n > 0 && from[n] == '\0';
}

/* [-+]? ( \.[0-9]+ | [0-9]+(\.[0-9]*)? ) ([eE][-+]?[0-9]+)? */
static bool is_float(const char *s)
{
    if (*s == '-' || *s == '+')
        s++;
    size_t whole = digits(s, "0123456789"), fraction = 0;
    s += whole;
    if (*s == '.') {
        fraction = digits(s + 1, "0123456789");
        s += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '-' || *s == '+')
            s++;
        size_t exponent = digits(s, "0123456789");
        if (exponent == 0)
            return false;
        s += exponent;
    }
    return *s == '\0';
}

/* .inf and .nan: floats to YAML, nothing to JSON. */
static bool is_not_finite(const char *s)
{
    static const char *const words[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"};

    if (*s == '-' || *s == '+')
        s++;
    return is_one_of(text_of(s), words, ARRAY_SIZE(words));
}

/* 1: it is a number and set; 0: it is none. The text is NUL-terminated, as libyaml gives it. */
static int set_number(struct json *node, struct text t, const char **ret_why)
{
    const char *from;
    int base;

    if (is_integer(t.data, &from, &base)) {
        errno = 0;
        long long value = strtoll(from, NULL, base);
        if (errno == 0) {
            json_set_integer(node, value);
            return 1;
        }
    } else if (is_not_finite(t.data)) {
        *ret_why = "infinity and not-a-number cannot be used";
        return -EINVAL;
    } else if (!is_float(t.data)) {
        return 0;
    }
    /* Also whole numbers beyond 64 bits; strtod knows no 0o, and rounds hexadecimal as it
     * should. */
    double value = base == 8 && from != t.data ? INFINITY : strtod(t.data, NULL);
    if (!isfinite(value)) {
        *ret_why = "the number is out of range";
        return -EINVAL;
    }
    json_set_number(node, value);
    return 1;
}

static int set_plain(struct json_tree *t, struct json *node, struct text value,
                     const char **ret_why)
{
    bool boolean;

    if (is_null(value)) {
        json_set_kind(node, JSON_NULL);
        return 0;
    }
    if (as_bool(value, &boolean)) {
        json_set_bool(node, boolean);
        return 0;
    }
    int r = set_number(node, value, ret_why);
    return r != 0 ? (r < 0 ? r : 0) : json_tree_set_string(t, node, value);
}

int yaml_scalar_set(struct json_tree *t, struct json *node, struct text value, bool plain,
                    const char *tag, const char **ret_why)
{
    static const struct text prefix = {"tag:yaml.org,2002:", 18};

    if (value.len > 0 && memchr(value.data, '\0', value.len)) {
        *ret_why = "a string holds a NUL";
        return -EINVAL;
    }
    if (!tag)
        return plain ? set_plain(t, node, value, ret_why) : json_tree_set_string(t, node, value);
    if (!text_starts_with(text_of(tag), prefix)) {
        *ret_why = "the tag is not known";
        return -EINVAL;
    }
    tag += prefix.len;
    if (!strcmp(tag, "str"))
        return json_tree_set_string(t, node, value);
    int r = set_plain(t, node, value, ret_why);
    if (r < 0)
        return r;
    bool number = node->kind == JSON_NUMBER;
    if ((!strcmp(tag, "null") && node->kind == JSON_NULL) ||
        (!strcmp(tag, "bool") && node->kind == JSON_BOOL) || (!strcmp(tag, "float") && number) ||
        (!strcmp(tag, "int") && number && node->is_integer))
        return 0;
    *ret_why = "the value does not fit its tag";
    return -EINVAL;
}
