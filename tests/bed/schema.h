/* SPDX-License-Identifier: ISC */
/*
 * Does a JSON document obey a schema? As much of JSON Schema as ours use: type, enum, required, properties,
 * additionalProperties false, items, pattern, $ref to "#/definitions/...".
 */
#ifndef TESTS_BED_SCHEMA_H
#define TESTS_BED_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* False: why has the place and the rule. A schema that asks for something else is refused. */
bool schema_holds(const json_t *schema, const json_t *doc, char *why, size_t size);

#endif
