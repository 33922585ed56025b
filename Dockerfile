# The image of weir: one static binary and the certificates it trusts.
#
#	make image
#	docker run -v ./weir.yaml:/etc/weir/weir.yaml:ro -p 8080:8080 weir:dev
#
# The admin listener is on loopback unless the configuration (or
# WEIR_ADMIN_ADDRESS) says otherwise: publishing 9901 alone opens nothing.
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG REVISION=unknown
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
	-ldflags "-s -w -X main.version=${VERSION} -X main.revision=${REVISION}" \
	-o /weir .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /weir /weir
USER 65532:65532
EXPOSE 8080 9901
ENTRYPOINT ["/weir"]
CMD ["run", "-c", "/etc/weir/weir.yaml"]
