/* SPDX-License-Identifier: ISC */
/*
 * See schema.h.
 */
#include "tests/bed/schema.h"

#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct state {
	const json_t *root;
	char *why;
	size_t size;
	char path[256];
};

static bool holds(struct state *, const json_t *schema, const json_t *doc);

static bool
broken(struct state *s, const char *rule, const char *detail)
{
	snprintf(
	    s->why, s->size, "%s: %s %s", s->path[0] != '\0' ? s->path : "document", rule, detail);
	return false;
}

static bool
is_type(const json_t *doc, const char *type)
{
	return (strcmp(type, "object") == 0 && json_is_object(doc)) ||
	       (strcmp(type, "array") == 0 && json_is_array(doc)) ||
	       (strcmp(type, "string") == 0 && json_is_string(doc)) ||
	       (strcmp(type, "integer") == 0 && json_is_integer(doc)) ||
	       (strcmp(type, "boolean") == 0 && json_is_boolean(doc)) ||
	       (strcmp(type, "null") == 0 && json_is_null(doc));
}

static bool
type_holds(struct state *s, const json_t *rule, const json_t *doc)
{
	if (json_is_string(rule))
		return is_type(doc, json_string_value(rule)) ||
		       broken(s, "type is not", json_string_value(rule));
	for (size_t i = 0; i < json_array_size(rule); i++)
		if (is_type(doc, json_string_value(json_array_get(rule, i))))
			return true;
	return broken(s, "type", "is none of those allowed");
}

static bool
enum_holds(struct state *s, const json_t *rule, const json_t *doc)
{
	for (size_t i = 0; i < json_array_size(rule); i++)
		if (json_equal(json_array_get(rule, i), doc))
			return true;
	return broken(s, "value", json_is_string(doc) ? json_string_value(doc) : "(no string)");
}

static bool
pattern_holds(struct state *s, const json_t *rule, const json_t *doc)
{
	regex_t re;
	bool ok;

	if (!json_is_string(doc))
		return true;
	if (regcomp(&re, json_string_value(rule), REG_EXTENDED | REG_NOSUB) != 0)
		return broken(s, "bad pattern", json_string_value(rule));
	ok = regexec(&re, json_string_value(doc), 0, NULL, 0) == 0;
	regfree(&re);
	return ok || broken(s, "pattern does not match", json_string_value(doc));
}

static bool
below(struct state *s, const char *name, const json_t *schema, const json_t *doc)
{
	size_t len = strlen(s->path);
	bool ok;

	snprintf(s->path + len, sizeof(s->path) - len, "/%s", name);
	ok = holds(s, schema, doc);
	s->path[len] = '\0';
	return ok;
}

static bool
properties_hold(struct state *s, const json_t *schema, const json_t *doc)
{
	const json_t *required = json_object_get(schema, "required");
	const json_t *properties = json_object_get(schema, "properties");
	bool closed = json_is_false(json_object_get(schema, "additionalProperties"));
	const char *key;
	json_t *value;

	if (!json_is_object(doc))
		return true;
	for (size_t i = 0; i < json_array_size(required); i++) {
		key = json_string_value(json_array_get(required, i));
		if (json_object_get(doc, key) == NULL)
			return broken(s, "missing", key);
	}
	json_object_foreach((json_t *)(uintptr_t)doc, key, value)
	{
		const json_t *rule = json_object_get(properties, key);

		if (rule == NULL && closed)
			return broken(s, "not in the schema:", key);
		if (rule != NULL && !below(s, key, rule, value))
			return false;
	}
	return true;
}

static bool
items_hold(struct state *s, const json_t *rule, const json_t *doc)
{
	char name[24];

	for (size_t i = 0; i < json_array_size(doc); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		if (!below(s, name, rule, json_array_get(doc, i)))
			return false;
	}
	return true;
}

static const json_t *
resolve(struct state *s, const char *ref)
{
	const char *name = strncmp(ref, "#/definitions/", 14) == 0 ? ref + 14 : NULL;

	return name == NULL ? NULL : json_object_get(json_object_get(s->root, "definitions"), name);
}

static bool
known(const char *keyword)
{
	static const char *const words[] = { "$schema", "$ref", "title", "description", "type",
		"enum", "required", "properties", "additionalProperties", "items", "pattern",
		"definitions" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(keyword, words[i]) == 0)
			return true;
	return false;
}

static bool
holds(struct state *s, const json_t *schema, const json_t *doc)
{
	const json_t *ref = json_object_get(schema, "$ref"), *rule;
	const char *key;
	json_t *value;

	if (ref != NULL) {
		const json_t *to = resolve(s, json_string_value(ref));

		return to == NULL ? broken(s, "no such definition:", json_string_value(ref))
		                  : holds(s, to, doc);
	}
	json_object_foreach((json_t *)(uintptr_t)schema, key, value)
	{
		if (!known(key))
			return broken(s, "a schema with", key);
	}
	if ((rule = json_object_get(schema, "type")) != NULL && !type_holds(s, rule, doc))
		return false;
	if ((rule = json_object_get(schema, "enum")) != NULL && !enum_holds(s, rule, doc))
		return false;
	if ((rule = json_object_get(schema, "pattern")) != NULL && !pattern_holds(s, rule, doc))
		return false;
	if ((rule = json_object_get(schema, "items")) != NULL && !items_hold(s, rule, doc))
		return false;
	return properties_hold(s, schema, doc);
}

bool
schema_holds(const json_t *schema, const json_t *doc, char *why, size_t size)
{
	struct state s = { .root = schema, .why = why, .size = size };

	why[0] = '\0';
	return holds(&s, schema, doc);
}
