/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON that verbs print for programs. */
#ifndef IMSAFE_CLI_JSON_H
#define IMSAFE_CLI_JSON_H

#include <jansson.h>

/* Text from outside as a JSON string, what is not plain text escaped; null for NULL. */
json_t *json_text(const char *text);

/* Prints a value on stdout, indented, and frees it. */
void json_print(json_t *value);

#endif
