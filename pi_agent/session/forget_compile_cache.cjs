// Node loads this before Pi, once it has opened its compile cache: the variables have done their work, and nothing that
// Pi starts gets them. A program that is not in the cache would compile everything for it in vain.
"use strict";
delete process.env.NODE_COMPILE_CACHE;
delete process.env.NODE_OPTIONS;
