/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/json.h"

#include <stdio.h>

#include "base/errmsg.h"

json_t *json_text(const char *text)
{
	char buffer[8192];

	return text ? json_string(escape_text(buffer, sizeof(buffer), text)) : json_null();
}

void json_print(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(value);
}
