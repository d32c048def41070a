# The bot in a container: code in /opt/quarterdeck, settings in /etc/quarterdeck, data in /var/lib/quarterdeck.
#
#   docker build -t quarterdeck .
#   docker run -d --name quarterdeck --stop-timeout 30 \
#     -v /srv/quarterdeck/etc:/etc/quarterdeck:ro -v /srv/quarterdeck/data:/var/lib/quarterdeck \
#     -p 127.0.0.1:8420:8420 quarterdeck
#
# In config.py: CODE = Path("/opt/quarterdeck"), BOT_DATA_DIR = "/var/lib/quarterdeck/errbot",
# "data_dir": "/var/lib/quarterdeck", and "web": {"host": "0.0.0.0", "port": 8420}, because a published port does not
# reach the container's loopback. Secrets belong to uid 10001, mode 600. One container per data folder.
FROM python:3.12-slim-bookworm

# git reads the charts repository
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /var/lib/quarterdeck --shell /usr/sbin/nologin quarterdeck \
    && install -d -o quarterdeck -g quarterdeck -m 0700 /var/lib/quarterdeck /var/lib/quarterdeck/errbot

WORKDIR /opt/quarterdeck
COPY requirements.lock setup.cfg pyproject.toml README.md LICENSE ./
COPY src ./src
# the lock as constraints: its versions, without the test tools it also names
RUN pip install --no-cache-dir -c requirements.lock .
COPY plugins ./plugins
COPY backends ./backends
COPY templates ./templates

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TZ=UTC
USER quarterdeck
VOLUME /var/lib/quarterdeck
EXPOSE 8420
STOPSIGNAL SIGTERM
CMD ["errbot", "-c", "/etc/quarterdeck/config.py"]
