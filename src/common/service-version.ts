/** The release of this service, as its descriptions name it. */
export const SERVICE_VERSION = '0.1.0';
