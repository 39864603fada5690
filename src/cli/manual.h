/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verb tables say, as manual pages: written once, true everywhere. */
#ifndef IMSAFE_CLI_MANUAL_H
#define IMSAFE_CLI_MANUAL_H

#include <stdio.h>

#include "base/options.h"

/* A manual page in man(7) of one verb. */
void manual_page(const struct verb *verb, FILE *out);

#endif
