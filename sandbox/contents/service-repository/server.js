'use strict';

const http = require( 'node:http' );

// Answers the readiness probe, and greets everybody else.
http.createServer( ( request, response ) => {
	response.setHeader( 'Content-Type', 'application/json' );
	response.end( JSON.stringify( request.url === '/_info' ? { name: '@NAME@' } : { hello: 'world' } ) );
} ).listen( process.env.PORT || 8080 );
