// Node-RED without its editor and without telemetry. Port and folder come from the command line.
module.exports = {
  uiHost: '127.0.0.1',
  httpAdminRoot: false,
  disableEditor: true,
  telemetry: { enabled: false, updateNotification: false },
  diagnostics: { enabled: false },
  credentialSecret: false,
  functionExternalModules: false,
  externalModules: { palette: { allowInstall: false }, modules: { allowInstall: false } },
  logging: { console: { level: 'info', metrics: false, audit: false } }
}
