/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions that are never right; forced into every C file of user space by the build. */
#ifndef IMSAFE_BASE_BANNED_H
#define IMSAFE_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atoll atof mktemp tmpnam tempnam
#pragma GCC poison gmtime localtime ctime asctime

#endif
